"""What the document and the settings say in words of limits and times is what the domain has."""

import orjson
import pytest
from fastapi import FastAPI

from service.api.schemas.messages import MessageHead
from service.domain.health import DISABLE_AFTER, RECENT
from service.domain.imports import MOST_LISTED
from service.domain.limits import LATEST, LONGEST_PAGE, MOST_NAMED, SOONEST, USUAL_PAGE
from service.domain.replays import LONGEST_RECOVERY
from service.domain.retention import AUDIT_KEPT, KEYS_KEPT, PAYLOADS_KEPT
from service.domain.statistics import LONGEST_WINDOW
from service.settings.groups import Delivery, Storage

WORDS = {1: "a", 2: "two", 4: "four"}
SAID = {
    "keys": f"For {KEYS_KEPT.total_seconds() / 3600:.0f} hours the same request",
    "keys of messages": f"Makes sending it again safe for {KEYS_KEPT.total_seconds() / 3600:.0f} h.",
    "keys of files": f"Sent again under it within {KEYS_KEPT.total_seconds() / 3600:.0f} h",
    "pages": f"{USUAL_PAGE} by default and {LONGEST_PAGE} at most",
    "payloads to be removed": f"the payloads of up to {MOST_NAMED} messages",
    "faults of a file": f"The first {MOST_LISTED:,} of them are listed",
    "faults of a file, listed": f"the first {MOST_LISTED:,} of them",
    "tasks": f"the background tasks of the last {PAYLOADS_KEPT.days} days",
    "failures": f"nothing but failures for {DISABLE_AFTER.days} days",
    "failures of late": f"Of the last {RECENT.total_seconds() / 3600:.0f} hours",
    "statistics": f"in whole hours of at most {WORDS[LONGEST_WINDOW.days // 7]} weeks",
    "recoveries": f"at most {WORDS[LONGEST_RECOVERY.days // 7]} weeks long",
    "deliveries put off": "From a minute to a day ahead",
}


@pytest.mark.parametrize("what", SAID)
def test_the_document_says_what_the_domain_has(app: FastAPI, what: str) -> None:
    assert SAID[what] in orjson.dumps(app.openapi()).decode()


def test_a_minute_and_a_day_are_what_a_message_may_wait() -> None:
    assert (SOONEST.total_seconds(), LATEST.total_seconds()) == (60, 86_400)


def test_a_payload_is_kept_in_days_or_hours_for_as_long_as_any() -> None:
    fields = MessageHead.model_json_schema()["properties"]

    assert fields["payloadRetentionPeriod"]["anyOf"][0]["maximum"] == PAYLOADS_KEPT.days
    assert fields["payloadRetentionHours"]["anyOf"][0]["maximum"] == PAYLOADS_KEPT.days * 24


def test_settings_begin_with_what_the_domain_says() -> None:
    assert Delivery().disable_after == DISABLE_AFTER.total_seconds()
    assert Storage().audit_days == AUDIT_KEPT.days
