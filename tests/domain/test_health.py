"""When an endpoint fails, is disabled, rests. The same tables go through PostgreSQL beside its statement."""

from datetime import UTC, datetime, timedelta

import pytest

from service.domain.health import DISABLE_AFTER, FAILING_AGES, FAILURES_COUNTED, EndpointHealth, Rest, judged, rested
from tests.support.endpoint_health import CASES, RESTS

AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", CASES)
def test_how_an_endpoint_stands_after_attempts(name: str) -> None:
    (since, reason), tried, (since_then, reason_then) = CASES[name].before, CASES[name].tried, CASES[name].after
    before = EndpointHealth(first_failure_at=None if since is None else AT - since, reason=reason)

    after = judged(before, tried, at=AT, disable_after=DISABLE_AFTER)

    assert after == EndpointHealth(first_failure_at=None if since_then is None else AT - since_then, reason=reason_then)


def test_an_endpoint_is_disabled_by_the_first_failure_of_its_time_or_later() -> None:
    began = EndpointHealth(first_failure_at=AT)
    failed = CASES["well, a failure"].tried

    before, then = (judged(began, failed, at=AT + DISABLE_AFTER - wait, disable_after=DISABLE_AFTER) for wait in WAITS)

    assert (before.reason, then.reason) == (None, "failing")


WAITS = (timedelta(microseconds=1), timedelta())


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("name", RESTS)
def test_how_long_an_endpoint_rests(name: str, chance: float) -> None:
    case = RESTS[name]
    before = None if case.before is None else Rest(count=case.before[0], until=AT + case.before[1])

    after = rested(before, asked=case.asked, at=AT, chance=chance)

    assert after.count == case.rests
    assert case.shortest <= after.until - AT <= case.longest


def test_chance_spreads_a_rest_to_either_side() -> None:
    over = Rest(count=3, until=AT)

    short, middle, long = (rested(over, asked=timedelta(), at=AT, chance=chance).until for chance in (0.0, 0.5, 0.999))

    assert short < middle < long
    assert middle - AT == timedelta(seconds=2)


def test_ages_grow_and_none_is_older_than_what_is_looked_at() -> None:
    assert list(FAILING_AGES.values()) == sorted(FAILING_AGES.values())
    assert max(FAILING_AGES.values()) <= FAILURES_COUNTED
