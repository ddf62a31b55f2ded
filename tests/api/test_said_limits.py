"""What the document and the settings say in words of limits and times is what the domain has."""

import orjson
import pytest
from fastapi import FastAPI

from service.api.schemas.messages import MessageHead
from service.domain.health import DISABLE_AFTER, FAILURES_COUNTED
from service.domain.idempotency import KEYS_KEPT
from service.domain.imports import MAX_LISTED_FAULTS
from service.domain.limits import (
    DEFAULT_PAGE_ITEMS,
    MAX_DELIVERY_DELAY,
    MAX_LISTED_VALUES,
    MAX_PAGE_ITEMS,
    MIN_DELIVERY_DELAY,
)
from service.domain.replays import MAX_RECOVERY
from service.domain.retention import AUDIT_KEPT, PAYLOADS_KEPT
from service.domain.statistics import MAX_WINDOW
from service.settings.delivery import Delivery
from service.settings.storage import Storage

WORDS = {1: "a", 2: "two", 4: "four"}
SAID = {
    "keys": f"For {KEYS_KEPT.total_seconds() / 3600:.0f} hours the same request",
    "keys of messages": f"Makes sending it again safe for {KEYS_KEPT.total_seconds() / 3600:.0f} h.",
    "keys of files": f"Sent again under it within {KEYS_KEPT.total_seconds() / 3600:.0f} h",
    "pages": f"{DEFAULT_PAGE_ITEMS} by default and {MAX_PAGE_ITEMS} at most",
    "payloads to be removed": f"the payloads of up to {MAX_LISTED_VALUES} messages",
    "faults of a file": f"The first {MAX_LISTED_FAULTS:,} of them are listed",
    "faults of a file, listed": f"the first {MAX_LISTED_FAULTS:,} of them",
    "tasks": f"the background tasks of the last {PAYLOADS_KEPT.days} days",
    "failures": f"nothing but failures for {DISABLE_AFTER.days} days",
    "failures of late": f"Of the last {FAILURES_COUNTED.total_seconds() / 3600:.0f} hours",
    "statistics": f"in whole hours of at most {WORDS[MAX_WINDOW.days // 7]} weeks",
    "recoveries": f"at most {WORDS[MAX_RECOVERY.days // 7]} weeks long",
    "deliveries put off": "From a minute to a day ahead",
}


@pytest.mark.parametrize("what", SAID)
def test_the_document_says_what_the_domain_has(app: FastAPI, what: str) -> None:
    assert SAID[what] in orjson.dumps(app.openapi()).decode()


def test_a_minute_and_a_day_are_what_a_message_may_wait() -> None:
    assert (MIN_DELIVERY_DELAY.total_seconds(), MAX_DELIVERY_DELAY.total_seconds()) == (60, 86_400)


def test_a_payload_is_kept_in_days_or_hours_for_as_long_as_any() -> None:
    fields = MessageHead.model_json_schema()["properties"]

    assert fields["payloadRetentionPeriod"]["anyOf"][0]["maximum"] == PAYLOADS_KEPT.days
    assert fields["payloadRetentionHours"]["anyOf"][0]["maximum"] == PAYLOADS_KEPT.days * 24


def test_settings_begin_with_what_the_domain_says() -> None:
    assert Delivery().disable_after == DISABLE_AFTER.total_seconds()
    assert Storage().audit_days == AUDIT_KEPT.days
