"""How an endpoint's share of the engine follows from how it does."""

from datetime import timedelta

import pytest

from service.delivery.allowances import DEFAULT_ATTEMPTS, MAX_STOCK, SCARCE_ATTEMPTS, Allowances, Held
from service.domain.ids import EndpointId
from service.domain.outcomes import ErrorType
from tests.support.factories import a_claim
from tests.support.outcomes import answered, failed

ENDPOINT = EndpointId("ep_1")
WELL = answered(200)
REFUSED = answered(400)
BUSY = answered(503)
SILENT = failed(ErrorType.TIMEOUT)


def fill(allowances: Allowances) -> int:
    """Attempts taken until the endpoint is full."""
    taken = 0
    while allowances.free(ENDPOINT) > 0:
        allowances.take(ENDPOINT)
        taken += 1
    return taken


def test_an_unknown_endpoint_starts_at_the_base() -> None:
    assert fill(Allowances(most=64, capacity=1000)) == DEFAULT_ATTEMPTS


def test_an_endpoint_that_keeps_up_gets_more_but_never_more_than_the_most() -> None:
    allowances = Allowances(most=20, capacity=1000)

    for _ in range(100):
        fill(allowances)
        allowances.give_back(ENDPOINT, WELL)

    fill(allowances)
    assert allowances.free(ENDPOINT) == 0
    assert allowances.taken == 20


def test_an_endpoint_that_is_silent_ends_with_one_attempt_at_a_time() -> None:
    allowances = Allowances(most=64, capacity=1000)

    for outcome in (SILENT, BUSY, SILENT, SILENT):
        allowances.take(ENDPOINT)
        allowances.give_back(ENDPOINT, outcome)

    assert allowances.rooms(Held()) == {ENDPOINT: 1}
    assert allowances.narrowed == 1


def test_one_good_answer_begins_to_widen_it_again() -> None:
    allowances = Allowances(most=64, capacity=1000)
    for outcome in (SILENT, SILENT, SILENT, SILENT, WELL):
        allowances.take(ENDPOINT)
        allowances.give_back(ENDPOINT, outcome)

    assert allowances.rooms(Held()) == {ENDPOINT: 2}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_answer_that_says_too_much_halves_the_endpoints_share(status: int) -> None:
    allowances = Allowances(most=64, capacity=1000)

    allowances.take(ENDPOINT)
    allowances.give_back(ENDPOINT, answered(status))

    assert allowances.rooms(Held()) == {ENDPOINT: DEFAULT_ATTEMPTS // 2}


def test_a_plain_refusal_is_no_strain() -> None:
    allowances = Allowances(most=64, capacity=1000)

    allowances.take(ENDPOINT)
    allowances.give_back(ENDPOINT, REFUSED)

    assert allowances.rooms(Held()) == {}


def test_once_half_is_taken_only_those_who_have_shown_that_they_keep_up_get_more_than_one_place() -> None:
    allowances, proven = Allowances(most=64, capacity=40), EndpointId("ep_proven")
    for _ in range(DEFAULT_ATTEMPTS):
        allowances.take(proven)
    allowances.give_back(proven, WELL)

    for nth in range(13):
        allowances.take(EndpointId(f"ep_silent_{nth}"))

    assert allowances.free(proven) == 2
    assert {allowances.free(EndpointId(f"ep_silent_{nth}")) for nth in range(13)} == {0}
    assert allowances.default == 1


def test_once_half_is_taken_a_limit_that_has_grown_counts_up_to_a_bound() -> None:
    allowances = Allowances(most=64, capacity=256)
    while fill(allowances) and allowances.taken < 64:
        allowances.give_back(ENDPOINT, WELL)
    for nth in range(128 - 64):
        allowances.take(EndpointId(f"ep_other_{nth}"))

    free = []
    for nth in range(64 - SCARCE_ATTEMPTS + 1):
        allowances.give_back(ENDPOINT, WELL)
        allowances.take(EndpointId(f"ep_more_{nth}"))
        free.append(allowances.free(ENDPOINT))

    assert free == [0] * (64 - SCARCE_ATTEMPTS) + [1]


def test_what_is_idle_and_well_is_forgotten() -> None:
    allowances = Allowances(most=64, capacity=1000)
    taken = fill(allowances)

    for _ in range(taken):
        allowances.give_back(ENDPOINT, WELL)

    assert allowances.rooms(Held()) == {}


def test_an_endpoint_has_a_stock_as_large_as_it_is_quick_and_none_before_it_has_answered_or_under_strain() -> None:
    stocks = {}
    for name, outcome in {
        "quick": answered(200, duration=timedelta(milliseconds=2)),
        "slow": answered(200, duration=timedelta(seconds=1)),
        "dead": answered(503, duration=timedelta(milliseconds=2)),
    }.items():
        allowances = Allowances(most=64, capacity=1000)
        allowances.take(ENDPOINT)
        stocks["unknown"] = allowances.stock(ENDPOINT)
        allowances.give_back(ENDPOINT, outcome)
        stocks[name] = allowances.stock(ENDPOINT)

    assert stocks == {"unknown": 0, "quick": MAX_STOCK, "slow": 1, "dead": 0}


def test_nobody_has_a_stock_while_as_many_are_held_as_there_are_places() -> None:
    allowances, held = Allowances(most=8, capacity=10), Held()
    allowances.take(ENDPOINT)
    allowances.take(ENDPOINT)
    allowances.give_back(ENDPOINT, answered(200, duration=timedelta(milliseconds=2)))
    before = allowances.room(ENDPOINT, held)

    for _ in range(10):
        held.add(a_claim(), now=0.0)

    assert (before, allowances.room(ENDPOINT, held)) == (7 + MAX_STOCK, 7)


def test_held_claims_leave_in_the_order_they_came_and_their_endpoints_take_turns() -> None:
    held, other = Held(), EndpointId("ep_2")
    claims = [a_claim(endpoint_id=endpoint) for endpoint in (ENDPOINT, ENDPOINT, other)]
    for now, claim in enumerate(claims):
        held.add(claim, now=now)

    first, turns = held.take(ENDPOINT), held.endpoints
    overdue = held.take_since_before(2)

    assert (first, turns) == (claims[0], [other, ENDPOINT])
    assert (overdue, len(held), dict(held.counts)) == ([claims[1]], 1, {other: 1})
