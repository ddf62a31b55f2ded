"""What is kept of an attempt, and the one sentence that says why it failed."""

from datetime import timedelta

import pytest

from service.domain.deliveries import Attempt, Settlement, Status, Trigger, attempt_of, why_not_send
from service.domain.ids import AttemptId
from service.domain.outcomes import (
    NO_ANSWER,
    ErrorType,
    Exchange,
    Failed,
    Outcome,
    RefusedForGood,
    RefusedForNow,
    Taken,
)
from service.domain.retries import Canceled, Delivered, Exhausted, Gone, TryAgain, Verdict
from tests.support.factories import a_claim
from tests.support.kept import NOW

BROKEN = Exchange(duration=timedelta(), status=200, text="half", broken=ErrorType.RESET)


def exchange(status: int = 0) -> Exchange:
    return Exchange(
        duration=timedelta(milliseconds=12.6), status=status, text="said", sent=(("A", "1"),), received=(("B", "2"),)
    )


def attempt(outcome: Outcome) -> Attempt:
    return attempt_of(a_claim(attempt=3), outcome, id=AttemptId("atmpt_1"), started_at=NOW, trace_id="t", span_id="s")


OUTCOMES: dict[str, tuple[Outcome, Status, str | None, str | None]] = {
    "taken": (Taken(exchange=exchange(204)), Status.SUCCESS, None, None),
    "taken, then broken off": (
        Taken(exchange=BROKEN),
        Status.SUCCESS,
        "reset",
        "After the status 200, the receiver closed the connection.",
    ),
    "refused for good": (RefusedForGood(exchange=exchange(410)), Status.FAIL, None, "The receiver answered 410."),
    "refused for now": (RefusedForNow(exchange=exchange(429)), Status.FAIL, None, "The receiver answered 429."),
    "refused": (
        Failed(exchange=exchange(404), error_type=ErrorType.REFUSED),
        Status.FAIL,
        None,
        "The receiver answered 404.",
    ),
    **{
        f"no answer: {error}": (
            Failed(exchange=exchange(), error_type=error),
            Status.FAIL,
            error.value,
            NO_ANSWER[error],
        )
        for error in ErrorType
    },
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_is_kept_of_an_attempt(name: str) -> None:
    outcome, status, error, reason = OUTCOMES[name]

    kept = attempt(outcome)

    assert (kept.status, kept.error_type, kept.reason) == (status, error, reason)
    assert (kept.number, kept.trigger, kept.response_status_code) == (3, Trigger.SCHEDULED, outcome.exchange.status)
    assert (kept.trace_id, kept.span_id, kept.started_at) == ("t", "s", NOW)


def test_an_attempt_keeps_what_was_said_both_ways_and_how_long_it_took() -> None:
    kept = attempt(Taken(exchange=exchange(200)))

    assert (kept.response, kept.request_headers, kept.response_headers) == ("said", (("A", "1"),), (("B", "2"),))
    assert kept.duration_ms == 13


@pytest.mark.parametrize(
    ("verdict", "gone"),
    [
        (Gone(), True),
        (Delivered(), False),
        (TryAgain(delay=timedelta()), False),
        (Exhausted(reason="attempts_used_up"), False),
        (Canceled(reason="endpoint_disabled"), False),
    ],
)
def test_an_endpoint_is_gone_when_it_wants_no_more(verdict: Verdict, gone: bool) -> None:
    assert Settlement(claim=a_claim(), verdict=verdict, attempt=None).endpoint_gone is gone


@pytest.mark.parametrize(
    ("active", "payload", "reason"),
    [
        (True, b"{}", None),
        (True, b"", None),
        (True, None, "payload_removed"),
        (False, b"{}", "endpoint_disabled"),
        (False, None, "endpoint_disabled"),
    ],
)
def test_nothing_is_sent_to_who_is_disabled_nor_without_a_payload(
    active: bool, payload: bytes | None, reason: str | None
) -> None:
    assert why_not_send(a_claim(endpoint_active=active, payload=payload)) == reason


def test_the_numbers_of_statuses_are_the_interface_s() -> None:
    assert {status.text: int(status) for status in Status} == {
        "success": 0,
        "pending": 1,
        "fail": 2,
        "sending": 3,
        "canceled": 4,
    }
