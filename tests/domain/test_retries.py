"""When a delivery is tried again, case by case."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.deliveries import Answered, ErrorType, Failed, Outcome
from service.domain.retries import Delivered, Exhausted, Gone, TryAgain, Verdict, judge, rest


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def answered(status: int, *, retry_after: float | None = None) -> Answered:
    wish = None if retry_after is None else seconds(retry_after)
    return Answered(status=status, body="", retry_after=wish, duration=seconds(0.1))


def failed(error_type: ErrorType) -> Failed:
    return Failed(error_type=error_type, message="It failed.", duration=seconds(0.1))


SCHEDULE = tuple(seconds(count) for count in (5, 300, 1800))
NO_SPREAD = 0.5


@pytest.mark.parametrize(
    ("outcome", "attempt", "verdict"),
    [
        pytest.param(answered(200), 1, Delivered(), id="200 is delivered"),
        pytest.param(answered(299), 1, Delivered(), id="any 2xx is delivered"),
        pytest.param(answered(204), 4, Delivered(), id="the last attempt counts like the first"),
        pytest.param(answered(199), 1, TryAgain(delay=seconds(5)), id="1xx is no success"),
        pytest.param(answered(302), 1, TryAgain(delay=seconds(5)), id="a redirect is a failure"),
        pytest.param(answered(400), 1, TryAgain(delay=seconds(5)), id="4xx is tried again"),
        pytest.param(answered(500), 2, TryAgain(delay=seconds(300)), id="the second delay follows the second attempt"),
        pytest.param(answered(500), 3, TryAgain(delay=seconds(1800)), id="the last delay"),
        pytest.param(answered(500), 4, Exhausted(reason="attempts_used_up"), id="then the attempts are used up"),
        pytest.param(answered(410), 1, Gone(), id="410 ends it"),
        pytest.param(answered(410), 4, Gone(), id="410 ends it on the last attempt too"),
        pytest.param(failed(ErrorType.CONNECT), 1, TryAgain(delay=seconds(5)), id="no connection"),
        pytest.param(failed(ErrorType.EGRESS), 1, TryAgain(delay=seconds(5)), id="a refused address may change"),
        pytest.param(failed(ErrorType.TIMEOUT), 1, TryAgain(delay=seconds(60)), id="a timeout waits a minute"),
        pytest.param(failed(ErrorType.TIMEOUT), 2, TryAgain(delay=seconds(300)), id="or longer"),
        pytest.param(failed(ErrorType.TIMEOUT), 4, Exhausted(reason="attempts_used_up"), id="and ends like the rest"),
        pytest.param(answered(429, retry_after=7), 1, TryAgain(delay=seconds(7)), id="429 is honoured"),
        pytest.param(answered(503, retry_after=7), 1, TryAgain(delay=seconds(7)), id="503 is honoured"),
        pytest.param(answered(503, retry_after=1), 1, TryAgain(delay=seconds(5)), id="but not below the schedule"),
        pytest.param(answered(503, retry_after=99), 1, TryAgain(delay=seconds(10)), id="nor above twice the schedule"),
        pytest.param(answered(503), 1, TryAgain(delay=seconds(5)), id="503 without a wish"),
        pytest.param(answered(500, retry_after=7), 1, TryAgain(delay=seconds(5)), id="others may not wish"),
    ],
)
def test_the_verdict(outcome: Outcome, attempt: int, verdict: Verdict) -> None:
    assert judge(outcome, attempt=attempt, schedule=SCHEDULE, chance=NO_SPREAD) == verdict


def test_a_short_schedule_is_not_stretched_by_timeouts_beyond_its_longest_delay() -> None:
    verdict = judge(failed(ErrorType.TIMEOUT), attempt=1, schedule=(seconds(1), seconds(3)), chance=NO_SPREAD)

    assert verdict == TryAgain(delay=seconds(3))


def test_without_a_schedule_there_is_one_attempt() -> None:
    assert judge(answered(500), attempt=1, schedule=(), chance=NO_SPREAD) == Exhausted(reason="attempts_used_up")


@given(chance=st.floats(0, 1, exclude_max=True))
def test_chance_spreads_a_delay_by_a_fifth_to_either_side(chance: float) -> None:
    verdict = judge(answered(500), attempt=1, schedule=SCHEDULE, chance=chance)

    assert isinstance(verdict, TryAgain)
    assert seconds(4) <= verdict.delay <= seconds(6)


@given(chance=st.floats(0, 1, exclude_max=True), wish=st.floats(0, 20))
def test_nobody_comes_back_before_the_time_that_the_receiver_asked_for(chance: float, wish: float) -> None:
    verdict = judge(answered(429, retry_after=wish), attempt=1, schedule=SCHEDULE, chance=chance)

    assert isinstance(verdict, TryAgain)
    assert verdict.delay >= min(seconds(wish), 2 * SCHEDULE[0])


def test_a_failing_delivery_is_tried_once_more_than_the_schedule_is_long() -> None:
    verdicts = [judge(answered(500), attempt=n, schedule=SCHEDULE, chance=NO_SPREAD) for n in range(1, 5)]

    assert [type(verdict) for verdict in verdicts] == [TryAgain, TryAgain, TryAgain, Exhausted]
    delays = [verdict.delay for verdict in verdicts if isinstance(verdict, TryAgain)]
    assert all(earlier < later for earlier, later in pairwise(delays))


@pytest.mark.parametrize(
    ("outcome", "length"),
    [
        (answered(429, retry_after=7), seconds(7)),
        (answered(503, retry_after=7), seconds(7)),
        (answered(503, retry_after=86_400), seconds(60)),
        *((answered(status), seconds(0)) for status in (429, 502, 503, 504)),
        (answered(502, retry_after=7), seconds(0)),
        *((answered(status), None) for status in (200, 400, 410, 500)),
        (failed(ErrorType.CONNECT), seconds(0)),
        (failed(ErrorType.TIMEOUT), None),
        (failed(ErrorType.INTERNAL), None),
    ],
)
def test_who_is_overloaded_or_away_rests(outcome: Outcome, length: timedelta | None) -> None:
    assert rest(outcome) == length
