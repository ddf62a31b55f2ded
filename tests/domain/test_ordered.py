"""What a request, and a batch that failed, do to an ordered destination."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.ids import ApplicationId, DestinationId, OrgId
from service.domain.ordered import (
    OrderedDestination,
    OrderedStatus,
    Setback,
    Standing,
    changed,
    setback,
)
from service.domain.outcomes import ErrorType, Exchange, Failed, Outcome, RefusedForGood, RefusedForNow, our_fault
from service.domain.sinks import FifoSink

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEDULE = (timedelta(seconds=5), timedelta(minutes=5), timedelta(hours=1))
A_DAY = timedelta(days=1)
KNOWN = OrderedDestination(
    id=DestinationId("dest_1"),
    app_id=ApplicationId("app_1"),
    org_id=OrgId("org_1"),
    sink=FifoSink(url="https://a.example"),
    created_at=NOW - A_DAY,
    updated_at=NOW - A_DAY,
    position=7,
    due_at=NOW + A_DAY,
    attempts=4,
    first_failed_at=NOW - A_DAY,
    failure_reason="The receiver answered 500.",
)


def answered(status: int) -> Failed:
    return Failed(exchange=Exchange(duration=timedelta(), status=status), error_type=ErrorType.FAULT)


def after(outcome: Outcome, **standing: Any) -> Setback:
    return setback(Standing(**standing), outcome, at=NOW, schedule=SCHEDULE, disable_after=A_DAY, chance=0.5)


@pytest.mark.parametrize(
    ("attempts", "delay"),
    [(0, SCHEDULE[0]), (1, SCHEDULE[1]), (2, SCHEDULE[2]), (3, SCHEDULE[2]), (99, SCHEDULE[2])],
)
def test_the_waits_are_the_schedules_and_the_last_is_repeated(attempts: int, delay: timedelta) -> None:
    found = after(answered(500), attempts=attempts, first_failed_at=NOW)

    assert (found.delay, found.standing.attempts, found.disabled) == (delay, attempts + 1, False)


@pytest.mark.parametrize(
    ("outcome", "delay"),
    [
        pytest.param(RefusedForNow(exchange=Exchange(duration=timedelta())), SCHEDULE[0], id="busy"),
        pytest.param(
            RefusedForNow(exchange=Exchange(duration=timedelta()), wait=timedelta(minutes=2)),
            timedelta(minutes=2),
            id="its own wait",
        ),
        pytest.param(
            RefusedForNow(exchange=Exchange(duration=timedelta()), wait=timedelta(days=9)), SCHEDULE[-1], id="too long"
        ),
        pytest.param(
            Failed(exchange=Exchange(duration=timedelta()), error_type=ErrorType.TIMEOUT),
            timedelta(minutes=1),
            id="silent",
        ),
    ],
)
def test_a_receiver_may_ask_for_another_wait(outcome: Outcome, delay: timedelta) -> None:
    assert after(outcome).delay == delay


def test_a_schedule_without_retries_still_has_a_wait() -> None:
    found = setback(Standing(), answered(500), at=NOW, schedule=(), disable_after=A_DAY, chance=0.5)

    assert found.delay == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("outcome", "since", "disabled"),
    [
        pytest.param(answered(500), None, False, id="the first failure"),
        pytest.param(answered(500), NOW - A_DAY + timedelta(seconds=1), False, id="not long enough"),
        pytest.param(answered(500), NOW - A_DAY, True, id="only failures for so long"),
        pytest.param(our_fault(timedelta()), NOW - A_DAY, False, id="a fault of ours"),
        pytest.param(RefusedForGood(exchange=Exchange(duration=timedelta())), None, True, id="gone"),
    ],
)
def test_a_destination_is_disabled_by(outcome: Outcome, since: datetime | None, disabled: bool) -> None:
    found = after(outcome, attempts=1, first_failed_at=since)

    assert found.disabled is disabled
    assert found.standing.first_failed_at == (since or NOW)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (answered(503), "The receiver answered 503."),
        (
            Failed(exchange=Exchange(duration=timedelta(), text="It is not there."), error_type=ErrorType.DNS),
            "It is not there.",
        ),
        (
            RefusedForGood(exchange=Exchange(duration=timedelta(), status=410, text="<written by the receiver>")),
            "The receiver wants no more messages (410).",
        ),
        (RefusedForGood(exchange=Exchange(duration=timedelta())), "The receiver wants no more messages."),
    ],
)
def test_the_reason_is_a_sentence_of_ours(outcome: Outcome, reason: str) -> None:
    assert after(outcome).reason == reason


@pytest.mark.parametrize(
    ("status", "attempts", "shown", "retries_at"),
    [
        (OrderedStatus.ENABLED, 0, OrderedStatus.ENABLED, None),
        (OrderedStatus.ENABLED, 1, OrderedStatus.RETRYING, KNOWN.due_at),
        (OrderedStatus.PAUSED, 1, OrderedStatus.PAUSED, None),
        (OrderedStatus.DISABLED, 1, OrderedStatus.DISABLED, None),
    ],
)
def test_an_enabled_destination_whose_last_batch_failed_is_retrying(
    status: OrderedStatus, attempts: int, shown: OrderedStatus, retries_at: datetime | None
) -> None:
    found = replace(KNOWN, status=status, attempts=attempts)

    assert (found.shown_status, found.next_retry_at) == (shown, retries_at)


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        pytest.param({"status": OrderedStatus.DISABLED}, {}, id="enabled"),
        pytest.param({}, {"sink": FifoSink(url="https://b.example")}, id="sent elsewhere"),
    ],
)
def test_a_destination_is_tried_at_once_when_it_is(before: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = changed(replace(KNOWN, **before), replace(KNOWN, **wanted), at=NOW)

    assert (found.attempts, found.first_failed_at, found.failure_reason) == (0, None, None)
    assert (found.due_at, found.updated_at, found.position) == (NOW, NOW, 7)


@pytest.mark.parametrize("wanted", [{"batch_size": 3}, {"status": OrderedStatus.PAUSED}])
def test_other_changes_leave_its_failures_alone(wanted: dict[str, Any]) -> None:
    assert changed(KNOWN, replace(KNOWN, **wanted), at=NOW) == replace(KNOWN, **wanted, updated_at=NOW)
