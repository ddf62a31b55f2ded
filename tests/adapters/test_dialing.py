"""How brokers and databases of destinations are reached, over real sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from service.adapters.destinations.http.egress import Egress, EgressRefused, GuardedResolver
from service.adapters.destinations.network import Dialer, Unreached, explain
from service.domain.outcomes import ErrorType
from tests.support.deaf import deaf
from tests.support.patience import unhurried
from tests.support.processes import free_port

V4, V6 = "127.0.0.1", "::1"
BOTH = ("127.0.0.0/8", "::1/128")


@asynccontextmanager
async def dialing(*addresses: str, allow: tuple[str, ...] = BOTH) -> AsyncIterator[Dialer]:
    """A dialer to whom every name has these addresses."""
    egress = Egress([ip_network(network) for network in allow])
    resolver = GuardedResolver(egress, look_up=lambda _host, _port, _family: list(addresses))
    try:
        yield Dialer(egress, resolver)
    finally:
        await resolver.close()


@pytest.mark.parametrize(("deaf_one", "listens"), [(V6, V4), (V4, V6)])
async def test_an_address_that_says_nothing_costs_a_moment_and_not_the_attempt(deaf_one: str, listens: str) -> None:
    family = socket.AF_INET6 if ":" in listens else socket.AF_INET
    with socket.create_server((listens, 0), family=family) as server:
        port = server.getsockname()[1]
        async with dialing(deaf_one, listens) as dialer, asyncio.timeout(60):
            with deaf(deaf_one, port):
                began = time.monotonic()
                opened = await dialer.dial("both.test", port)
                took = time.monotonic() - began
        with opened:
            assert opened.getpeername()[0] == listens
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not opened.getblocking()

    assert took >= 0.2, "the deaf one was asked first"
    assert took < unhurried(5), "and the other a quarter of a second later"


@pytest.mark.parametrize("addresses", [(V6, V4), (V4, V6), (V4,)])
async def test_addresses_that_all_refuse_are_told_as_refusing(addresses: tuple[str, ...]) -> None:
    async with dialing(*addresses) as dialer:
        with pytest.raises(Unreached) as told:
            await dialer.dial("both.test", free_port())

    assert explain(told.value) == (ErrorType.CONNECT, "The receiver refused the connection.")


@pytest.mark.parametrize(("allowed", "listens"), [("127.0.0.0/8", V6), ("::1/128", V4)])
async def test_of_several_addresses_only_permitted_ones_are_called(allowed: str, listens: str) -> None:
    family = socket.AF_INET6 if ":" in listens else socket.AF_INET
    with socket.create_server((listens, 0), family=family) as server:
        async with dialing(V6, V4, allow=(allowed,)) as dialer:
            with pytest.raises(Unreached):
                await dialer.dial("both.test", server.getsockname()[1])


async def test_a_name_of_which_no_address_may_be_called_is_refused() -> None:
    async with dialing(V6, V4, allow=()) as dialer:
        with pytest.raises(EgressRefused):
            await dialer.dial("both.test", free_port())
