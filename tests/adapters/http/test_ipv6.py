"""Receivers with IPv6 addresses, alone and beside IPv4 ones, over real sockets."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import pytest

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.destinations.http.sender import HttpSender
from service.domain.destinations import HttpDestination
from service.domain.outcomes import ErrorType, Failed, Outcome, Taken
from tests.support.deaf import deaf
from tests.support.factories import a_parcel
from tests.support.patience import unhurried
from tests.support.receiver import running_receiver

V4, V6 = "127.0.0.1", "::1"
PATIENT = 60.0


async def call(url: str, *, allow: list[str], addresses: list[str] | None = None, seconds: float = PATIENT) -> Outcome:
    """One call to `url`, whose name has `addresses`."""
    egress = Egress([ip_network(network) for network in allow])
    async with open_http_client(
        egress,
        concurrency=1,
        ssl_context=SSLContext(PROTOCOL_TLS_CLIENT),
        look_up=lambda _host, _port, _family: addresses or [],
    ) as client:
        return await HttpSender(client, timeout=seconds, egress=egress).send(HttpDestination(url=url), a_parcel())


@asynccontextmanager
async def listening(host: str, port: int = 0) -> AsyncIterator[int]:
    async with running_receiver(host=host, port=port) as receiver:
        yield receiver.port


@pytest.mark.parametrize("allow", ["::1/128", "::/0", "::/127"])
async def test_what_is_allowed_of_ipv6_is_called(allow: str) -> None:
    async with listening(V6) as port:
        outcome = await call(f"http://[::1]:{port}/ok", allow=[allow])

    assert isinstance(outcome, Taken)


@pytest.mark.parametrize("allow", [["127.0.0.0/8"], ["::2/128"], []])
async def test_what_is_not_allowed_of_ipv6_is_not(allow: list[str]) -> None:
    async with listening(V6) as port:
        outcome = await call(f"http://[::1]:{port}/ok", allow=allow)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.EGRESS


@pytest.mark.parametrize(
    ("allow", "permitted", "refused"),
    [
        ("::1/128", ["::1"], ["::", "::2", "127.0.0.1", "::127.0.0.1", "::ffff:127.0.0.1"]),
        ("::/128", ["::"], ["::1", "0.0.0.0"]),
        ("::ffff:127.0.0.0/104", ["127.0.0.1", "::ffff:127.1.2.3"], ["::1", "10.0.0.1", "::ffff:10.0.0.1"]),
        ("::ffff:10.1.2.3/128", ["10.1.2.3"], ["10.1.2.4"]),
        ("fd00::/8", ["fd00::1"], ["fc00::1", "fe80::1"]),
        ("fe80::/10", ["fe80::1", "fe80::1%2"], ["::1"]),
        ("::/96", ["::1", "::"], ["::127.0.0.1", "::10.0.0.1"]),
        ("64:ff9b::/96", ["64:ff9b::8.8.8.8"], ["64:ff9b::127.0.0.1"]),
    ],
)
def test_whatever_is_allowed_has_an_effect_and_opens_no_more(
    allow: str, permitted: list[str], refused: list[str]
) -> None:
    egress = Egress([ip_network(allow)])

    assert [address for address in permitted if not egress.permits(address)] == []
    assert [address for address in refused if egress.permits(address)] == []


@pytest.mark.parametrize("listens", [V4, V6])
@pytest.mark.parametrize("addresses", [[V6, V4], [V4, V6]])
async def test_a_name_with_both_families_is_reached_over_the_one_that_answers(
    listens: str, addresses: list[str]
) -> None:
    async with listening(listens) as port:
        outcome = await call(f"http://both.test:{port}/ok", allow=["127.0.0.0/8", "::1/128"], addresses=addresses)

    assert isinstance(outcome, Taken)


@pytest.mark.parametrize(("deaf_one", "listens"), [(V6, V4), (V4, V6)])
async def test_a_family_that_says_nothing_costs_a_moment_and_not_the_attempt(deaf_one: str, listens: str) -> None:
    async with listening(listens) as port:
        with deaf(deaf_one, port):
            outcome = await call(
                f"http://both.test:{port}/ok", allow=["127.0.0.0/8", "::1/128"], addresses=[deaf_one, listens]
            )

    took = outcome.exchange.duration.total_seconds()
    assert isinstance(outcome, Taken)
    assert took >= 0.2, "the deaf one was asked first"
    assert took < min(unhurried(5), PATIENT / 2), "and the other a quarter of a second later"


async def test_the_timeout_covers_a_connection_that_nobody_takes() -> None:
    with socket.socket() as probe:
        probe.bind((V4, 0))
        port = probe.getsockname()[1]
    with deaf(V4, port):
        outcome = await call(f"http://{V4}:{port}/ok", allow=["127.0.0.0/8"], seconds=0.3)

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.TIMEOUT
    assert outcome.exchange.duration.total_seconds() < PATIENT  # the kernel gives up after two minutes


@pytest.mark.parametrize(("allow", "listens"), [("127.0.0.0/8", V6), ("::1/128", V4)])
async def test_of_a_name_with_both_families_only_permitted_addresses_are_called(allow: str, listens: str) -> None:
    async with listening(listens) as port:
        outcome = await call(f"http://both.test:{port}/ok", allow=[allow], addresses=[V6, V4])

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.CONNECT


async def test_a_name_whose_addresses_are_all_refused_is_refused() -> None:
    outcome = await call("http://both.test/ok", allow=["::2/128"], addresses=[V6, V4, "fd00::1"])

    assert isinstance(outcome, Failed)
    assert outcome.error_type is ErrorType.EGRESS
