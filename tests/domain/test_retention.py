"""How long things are kept: what is longer because something else has to be found for so long."""

from datetime import UTC, datetime, timedelta

import pytest

from service.domain.background_tasks import MAX_TASK_BACKOFF
from service.domain.health import FAILURES_COUNTED, MAX_REST
from service.domain.idempotency import KEYS_KEPT
from service.domain.limits import MAX_DELIVERY_DELAY, RATE_BURST
from service.domain.replays import MAX_RECOVERY
from service.domain.retention import MESSAGES_KEPT, PAYLOADS_KEPT, RESTS_KEPT, THROTTLES_KEPT, payload_expiry
from service.domain.statistics import MAX_WINDOW

NOW, HOUR = datetime(2026, 3, 1, tzinfo=UTC), timedelta(hours=1)


def test_a_message_outlives_its_payload_by_the_week_that_is_dropped_as_a_whole() -> None:
    assert timedelta(weeks=1) == MESSAGES_KEPT - PAYLOADS_KEPT


def test_what_may_be_asked_for_is_kept_for_as_long() -> None:
    assert max(MAX_WINDOW, MAX_RECOVERY, MAX_DELIVERY_DELAY, FAILURES_COUNTED) < PAYLOADS_KEPT


def test_a_key_outlives_whatever_is_done_once_in_its_name() -> None:
    assert KEYS_KEPT > MAX_TASK_BACKOFF


def test_what_is_forgotten_has_long_ended() -> None:
    assert RESTS_KEPT > 10 * MAX_REST
    assert THROTTLES_KEPT > 10 * RATE_BURST


@pytest.mark.parametrize(
    ("due_in", "kept", "expires_in"), [(0, 24, 24), (-5, 24, 24), (5, 24, 29), (24, 1, 25), (25, 1, 25), (10**6, 1, 25)]
)
def test_a_payload_is_kept_from_when_it_is_first_sent(due_in: int, kept: int, expires_in: int) -> None:
    assert payload_expiry(NOW, NOW + due_in * HOUR, kept=kept * HOUR) == NOW + expires_in * HOUR


def test_a_payload_of_which_nothing_is_said_is_kept_for_90_days() -> None:
    assert payload_expiry(NOW) == NOW + timedelta(days=90)
