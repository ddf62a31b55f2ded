"""How an endpoint's share of the engine follows from how it does."""

import pytest

from service.delivery.allowances import DEFAULT_ATTEMPTS, Allowances
from service.domain.ids import EndpointId
from service.domain.outcomes import ErrorType
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

    assert allowances.rooms({}) == {ENDPOINT: 1}
    assert allowances.narrowed == 1


def test_one_good_answer_begins_to_widen_it_again() -> None:
    allowances = Allowances(most=64, capacity=1000)
    for outcome in (SILENT, SILENT, SILENT, SILENT, WELL):
        allowances.take(ENDPOINT)
        allowances.give_back(ENDPOINT, outcome)

    assert allowances.rooms({}) == {ENDPOINT: 2}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_answer_that_says_too_much_halves_the_endpoints_share(status: int) -> None:
    allowances = Allowances(most=64, capacity=1000)

    allowances.take(ENDPOINT)
    allowances.give_back(ENDPOINT, answered(status))

    assert allowances.rooms({}) == {ENDPOINT: DEFAULT_ATTEMPTS // 2}


def test_a_plain_refusal_is_no_strain() -> None:
    allowances = Allowances(most=64, capacity=1000)

    allowances.take(ENDPOINT)
    allowances.give_back(ENDPOINT, REFUSED)

    assert allowances.rooms({}) == {}


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


def test_what_is_idle_and_well_is_forgotten() -> None:
    allowances = Allowances(most=64, capacity=1000)
    taken = fill(allowances)

    for _ in range(taken):
        allowances.give_back(ENDPOINT, WELL)

    assert allowances.rooms({}) == {}
