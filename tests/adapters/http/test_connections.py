"""Connections to receivers over real sockets: how many at once, who is next, how long they are kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import httpx
import pytest

from service.adapters.destinations.http.connections import Connections, ReceiverConnector
from service.adapters.destinations.http.targets import Target, target_of
from tests.support.patience import patient

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MOMENT = 0.05


@dataclass(slots=True)
class Receiver:
    """Answers while its gate is open. It counts connections, and requests that are unanswered."""

    target: Target | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    unanswered: int = 0
    most_unanswered: int = 0
    left: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    heard: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the client leaves."""
        self.connections += 1
        try:
            while True:
                await reader.readexactly(len(REQUEST))
                self.unanswered += 1
                self.most_unanswered = max(self.unanswered, self.most_unanswered)
                self.heard.release()
                await self.gate.wait()
                self.unanswered -= 1
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.release()
        finally:
            writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.target = target_of(httpx.URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    yield receiver
    receiver.gate.set()
    server.close()


@asynccontextmanager
async def opened(
    *, limit: int = 8, keep_alive: float = 60, waits: list[float] | None = None
) -> AsyncIterator[Connections]:
    connector = ReceiverConnector(ssl=SSLContext(PROTOCOL_TLS_CLIENT))
    queued = (lambda _: None) if waits is None else waits.append
    connections = Connections(connector, limit=limit, keep_alive=keep_alive, queued=queued)
    yield connections
    await connections.close()


async def ask(connections: Connections, receiver: Receiver, seconds: float = patient(20)) -> int:
    """The status of one exchange."""
    assert receiver.target is not None
    call = await connections.ask(receiver.target, REQUEST, timeout=seconds)
    try:
        while await call.more():
            pass
    finally:
        call.close()
    return call.head.status


async def test_at_most_as_many_as_may_be_are_in_use_and_the_others_wait_for_their_turn(receiver: Receiver) -> None:
    waits: list[float] = []
    async with opened(limit=2, waits=waits) as connections:
        asked = [asyncio.create_task(ask(connections, receiver)) for _ in range(6)]
        for _ in range(2):
            await receiver.heard.acquire()
        in_use = connections.in_use
        receiver.gate.set()
        statuses = await asyncio.gather(*asked)

        assert statuses == [200] * 6
        assert (in_use, connections.in_use) == (2, 0)
    assert (receiver.most_unanswered, receiver.connections) == (2, 2)
    assert len(waits) == 4


@pytest.mark.parametrize("how", ["times out", "is canceled", "is canceled when its turn has come"])
async def test_who_gives_up_waiting_leaves_the_turn_to_the_next(receiver: Receiver, how: str) -> None:
    async with opened(limit=1) as connections:
        first = asyncio.create_task(ask(connections, receiver))
        await receiver.heard.acquire()
        gives_up = asyncio.create_task(ask(connections, receiver, MOMENT if how == "times out" else patient(20)))
        last = asyncio.create_task(ask(connections, receiver))
        await asyncio.sleep(0)
        if how == "times out":
            with pytest.raises(TimeoutError):
                await gives_up
        if how == "is canceled when its turn has come":
            first.cancel()
            await asyncio.sleep(0)  # the first one hands its turn over, and who gets it has not yet run
        gives_up.cancel()
        receiver.gate.set()

        assert await last == 200
        await asyncio.gather(first, gives_up, return_exceptions=True)
        assert connections.in_use == 0


async def test_an_idle_connection_is_closed_after_a_while(receiver: Receiver) -> None:
    receiver.gate.set()
    async with opened(keep_alive=MOMENT) as connections, asyncio.timeout(patient(20)):
        await asyncio.gather(ask(connections, receiver), ask(connections, receiver))

        for _ in range(2):
            await receiver.left.acquire()


async def test_a_connection_that_was_idle_for_too_long_is_not_used(receiver: Receiver) -> None:
    receiver.gate.set()
    async with opened(keep_alive=1) as connections:
        await ask(connections, receiver)
        await asyncio.sleep(0.5)  # so that this connection is not yet old when old ones are closed for the first time
        await ask(connections, receiver)
        before = receiver.connections
        await asyncio.sleep(1.1)
        await ask(connections, receiver)

    assert receiver.connections == before + 1


async def test_nothing_stays_open_behind_the_last_call(receiver: Receiver) -> None:
    async with opened() as connections, asyncio.timeout(patient(20)):
        held = asyncio.create_task(ask(connections, receiver))
        await receiver.heard.acquire()
        await connections.close()
        receiver.gate.set()
        await receiver.left.acquire()
        await asyncio.gather(held, return_exceptions=True)

    async with opened() as connections, asyncio.timeout(patient(20)):
        await ask(connections, receiver)
        await connections.close()
        await receiver.left.acquire()
