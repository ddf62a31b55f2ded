"""What each status means, for the delivery and for its endpoint."""

from datetime import timedelta

import pytest

from service.domain.outcomes import (
    ErrorType,
    Failed,
    Outcome,
    RefusedForGood,
    RefusedForNow,
    Taken,
    error_label,
    kept_error,
    shows_strain,
    status_class,
)
from service.domain.retries import rest
from tests.support.outcomes import answered

YES = (200, 201, 204, 299)
OVERLOADED = (429, 503)
AWAY = (502, 504)
REFUSED = (101, 199, 300, 301, 302, 304, 308, 400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 451, 499)
FAULT = (500, 501, 505, 507, 511, 599, 999)


def meaning(outcome: Outcome) -> object:
    """The outcome without the exchange that led to it."""
    match outcome:
        case RefusedForNow(wait=wait):
            return RefusedForNow, wait
        case Failed(error_type=error_type):
            return error_type
        case _:
            return type(outcome)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, Taken) for status in YES),
        (410, RefusedForGood),
        *((status, (RefusedForNow, None)) for status in OVERLOADED + AWAY),
        *((status, ErrorType.REFUSED) for status in REFUSED),
        *((status, ErrorType.FAULT) for status in FAULT),
    ],
)
def test_a_status_is_one_of_four_outcomes_and_told_as_itself(status: int, expected: object) -> None:
    outcome = answered(status)

    assert meaning(outcome) == expected
    assert outcome.exchange.status == status
    assert status_class(outcome) == f"{status // 100}xx"
    assert error_label(outcome) == (None if status in YES else f"{status // 100}xx")
    assert kept_error(outcome) is None


@pytest.mark.parametrize("status", OVERLOADED)
def test_who_is_overloaded_may_ask_for_a_wait(status: int) -> None:
    assert meaning(answered(status, retry_after="7")) == (RefusedForNow, timedelta(seconds=7))


@pytest.mark.parametrize("status", AWAY + REFUSED + FAULT + YES + (410,))
def test_others_may_not_ask_for_a_wait(status: int) -> None:
    assert meaning(answered(status, retry_after="7")) == meaning(answered(status))


@pytest.mark.parametrize("status", OVERLOADED + AWAY)
def test_who_is_overloaded_or_away_rests(status: int) -> None:
    assert rest(answered(status)) == timedelta()


@pytest.mark.parametrize("status", YES + REFUSED + FAULT + (410,))
def test_nobody_else_who_answers_rests(status: int) -> None:
    assert rest(answered(status)) is None


@pytest.mark.parametrize("status", YES + REFUSED + OVERLOADED + AWAY + FAULT + (410,))
def test_an_answer_that_says_too_much_shows_strain(status: int) -> None:
    assert shows_strain(answered(status)) is (status == 429 or status >= 500)
