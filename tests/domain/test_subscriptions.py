"""Which endpoint wants a message. The same table goes through PostgreSQL beside its statements."""

import pytest

from service.domain.destinations import HttpDestination
from service.domain.endpoints import NewEndpoint
from service.domain.errors import EndpointDisabled
from service.domain.subscriptions import is_meant, refuse_disabled, wants
from tests.support.subscriptions import CASES

KNOWN = {name: case for name, case in CASES.items() if not case.deleted}  # nobody finds the others to ask them


def endpoint_of(name: str) -> NewEndpoint:
    case = CASES[name]
    return NewEndpoint(
        destination=HttpDestination(url="https://example.com"),
        event_types=case.event_types,
        channels=case.channels,
        disabled=case.disabled,
    )


@pytest.mark.parametrize("name", KNOWN)
def test_an_endpoint_wants_what_it_names_while_it_is_enabled(name: str) -> None:
    case, endpoint = KNOWN[name], endpoint_of(name)

    assert wants(endpoint, event_type=case.message_type, channels=case.message_channels) is case.wanted


@pytest.mark.parametrize("name", KNOWN)
def test_a_message_is_meant_for_an_endpoint_whether_it_is_enabled_or_not(name: str) -> None:
    case, endpoint = KNOWN[name], endpoint_of(name)

    meant = is_meant(endpoint, event_type=case.message_type, channels=case.message_channels)

    assert meant is (case.wanted or case.disabled)


def test_who_is_disabled_is_sent_nothing_by_hand_either() -> None:
    refuse_disabled(endpoint_of("no wishes"))

    with pytest.raises(EndpointDisabled):
        refuse_disabled(endpoint_of("disabled"))
