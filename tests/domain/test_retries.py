"""When a delivery is tried again, case by case."""

from datetime import timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.outcomes import (
    ErrorType,
    Exchange,
    Failed,
    Outcome,
    RefusedForGood,
    RefusedForNow,
    Taken,
    error_label,
    kept_error,
    shows_strain,
)
from service.domain.retries import Delivered, Exhausted, Gone, TryAgain, Verdict, judge, pauses, rest


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


EXCHANGE = Exchange(duration=seconds(0.1))
TAKEN = Taken(exchange=EXCHANGE)
REFUSED_FOR_GOOD = RefusedForGood(exchange=EXCHANGE)


def refused_for_now(wait: float | None = None) -> RefusedForNow:
    return RefusedForNow(exchange=EXCHANGE, wait=None if wait is None else seconds(wait))


def failed(error_type: ErrorType) -> Failed:
    return Failed(exchange=EXCHANGE, error_type=error_type)


FAULT = failed(ErrorType.FAULT)
SCHEDULE = tuple(seconds(count) for count in (5, 300, 1800))
NO_SPREAD = 0.5


@pytest.mark.parametrize(
    ("outcome", "attempt", "verdict"),
    [
        pytest.param(TAKEN, 1, Delivered(), id="what is taken is delivered"),
        pytest.param(TAKEN, 4, Delivered(), id="the last attempt counts like the first"),
        pytest.param(failed(ErrorType.REFUSED), 1, TryAgain(delay=seconds(5)), id="a refusal is tried again"),
        pytest.param(FAULT, 2, TryAgain(delay=seconds(300)), id="the second delay follows the second attempt"),
        pytest.param(FAULT, 3, TryAgain(delay=seconds(1800)), id="the last delay"),
        pytest.param(FAULT, 4, Exhausted(reason="attempts_used_up"), id="then the attempts are used up"),
        pytest.param(REFUSED_FOR_GOOD, 1, Gone(), id="a refusal for good ends it"),
        pytest.param(REFUSED_FOR_GOOD, 4, Gone(), id="on the last attempt too"),
        pytest.param(failed(ErrorType.CONNECT), 1, TryAgain(delay=seconds(5)), id="no connection"),
        pytest.param(failed(ErrorType.EGRESS), 1, TryAgain(delay=seconds(5)), id="a refused address may change"),
        pytest.param(failed(ErrorType.INTERNAL), 1, TryAgain(delay=seconds(5)), id="a fault of ours"),
        pytest.param(failed(ErrorType.TIMEOUT), 1, TryAgain(delay=seconds(60)), id="a timeout waits a minute"),
        pytest.param(failed(ErrorType.TIMEOUT), 2, TryAgain(delay=seconds(300)), id="or longer"),
        pytest.param(failed(ErrorType.TIMEOUT), 4, Exhausted(reason="attempts_used_up"), id="and ends like the rest"),
        pytest.param(refused_for_now(7), 1, TryAgain(delay=seconds(7)), id="a wish is honoured"),
        pytest.param(refused_for_now(0), 1, TryAgain(delay=seconds(5)), id="but not below the schedule"),
        pytest.param(refused_for_now(1), 1, TryAgain(delay=seconds(5)), id="nor a little below it"),
        pytest.param(refused_for_now(99), 1, TryAgain(delay=seconds(10)), id="nor above twice the schedule"),
        pytest.param(refused_for_now(), 1, TryAgain(delay=seconds(5)), id="without a wish the schedule counts"),
        pytest.param(refused_for_now(7), 4, Exhausted(reason="attempts_used_up"), id="a wish adds no attempt"),
    ],
)
def test_the_verdict(outcome: Outcome, attempt: int, verdict: Verdict) -> None:
    assert judge(outcome, attempt=attempt, schedule=SCHEDULE, chance=NO_SPREAD) == verdict


def test_a_short_schedule_is_not_stretched_by_timeouts_beyond_its_longest_delay() -> None:
    verdict = judge(failed(ErrorType.TIMEOUT), attempt=1, schedule=(seconds(1), seconds(3)), chance=NO_SPREAD)

    assert verdict == TryAgain(delay=seconds(3))


def test_what_is_ours_to_repeat_waits_twice_as_long_each_time_up_to_a_bound() -> None:
    assert list(islice(pauses(0.5, longest=15), 7)) == [0.5, 1, 2, 4, 8, 15, 15]


def test_without_a_schedule_there_is_one_attempt() -> None:
    assert judge(FAULT, attempt=1, schedule=(), chance=NO_SPREAD) == Exhausted(reason="attempts_used_up")


@given(chance=st.floats(0, 1, exclude_max=True))
def test_chance_spreads_a_delay_by_a_fifth_to_either_side(chance: float) -> None:
    verdict = judge(FAULT, attempt=1, schedule=SCHEDULE, chance=chance)

    assert isinstance(verdict, TryAgain)
    assert seconds(4) <= verdict.delay <= seconds(6)


@given(chance=st.floats(0, 1, exclude_max=True), wish=st.floats(0, 20))
def test_nobody_comes_back_before_the_time_that_the_receiver_asked_for(chance: float, wish: float) -> None:
    verdict = judge(refused_for_now(wish), attempt=1, schedule=SCHEDULE, chance=chance)

    assert isinstance(verdict, TryAgain)
    assert verdict.delay >= min(seconds(wish), 2 * SCHEDULE[0])


def test_a_failing_delivery_is_tried_once_more_than_the_schedule_is_long() -> None:
    verdicts = [judge(FAULT, attempt=n, schedule=SCHEDULE, chance=NO_SPREAD) for n in range(1, 5)]

    assert [type(verdict) for verdict in verdicts] == [TryAgain, TryAgain, TryAgain, Exhausted]
    delays = [verdict.delay for verdict in verdicts if isinstance(verdict, TryAgain)]
    assert all(earlier < later for earlier, later in pairwise(delays))


@pytest.mark.parametrize(
    ("outcome", "length"),
    [
        (refused_for_now(), seconds(0)),
        (refused_for_now(7), seconds(7)),
        (refused_for_now(86_400), seconds(60)),
        (TAKEN, None),
        (REFUSED_FOR_GOOD, None),
        *(
            (failed(error_type), seconds(0))
            for error_type in (ErrorType.CONNECT, ErrorType.DNS, ErrorType.TLS, ErrorType.EGRESS)
        ),
        (failed(ErrorType.TIMEOUT), None),
        (failed(ErrorType.RESET), None),
        (failed(ErrorType.MALFORMED), None),
        (failed(ErrorType.INTERNAL), None),
        (failed(ErrorType.REFUSED), None),
        (FAULT, None),
    ],
)
def test_who_is_overloaded_or_away_rests(outcome: Outcome, length: timedelta | None) -> None:
    assert rest(outcome) == length


STRAIN = {error_type: error_type is not ErrorType.REFUSED for error_type in ErrorType}


@pytest.mark.parametrize(
    ("outcome", "strained"),
    [
        (TAKEN, False),
        (REFUSED_FOR_GOOD, False),
        (refused_for_now(), True),
        *((failed(error_type), strained) for error_type, strained in STRAIN.items()),
    ],
)
def test_all_but_a_yes_and_a_plain_refusal_is_strain(outcome: Outcome, *, strained: bool) -> None:
    assert shows_strain(outcome) is strained


@pytest.mark.parametrize(
    ("outcome", "label", "kept"),
    [
        (TAKEN, None, None),
        (REFUSED_FOR_GOOD, "refused_for_good", None),
        (refused_for_now(), "refused_for_now", None),
        *((failed(error_type), error_type.value, error_type) for error_type in ErrorType),
        (Failed(exchange=Exchange(duration=seconds(1), status=404), error_type=ErrorType.REFUSED), "4xx", None),
        (RefusedForNow(exchange=Exchange(duration=seconds(1), status=503)), "5xx", None),
        (Taken(exchange=Exchange(duration=seconds(1), status=200, broken=ErrorType.RESET)), None, ErrorType.RESET),
    ],
)
def test_an_error_is_told_by_its_status_if_it_has_one_and_kept_if_it_has_none(
    outcome: Outcome, label: str | None, kept: ErrorType | None
) -> None:
    assert (error_label(outcome), kept_error(outcome)) == (label, kept)
