"""A server that is told to leave, and connections that are idle just then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.api.protocol.connections import CallerProtocol
from service.api.protocol.patience import Patience
from service.runtime.listening import listening
from tests.support.patience import patient
from tests.support.serving import listener

REQUEST = b"GET / HTTP/1.1\r\nhost: relevo.test\r\n\r\n"
GRACE = 600  # seconds; the connections end before
WITHIN = patient(20)


class Waiting(CallerProtocol):
    """Waits for one more request longer than any test takes."""

    patience: ClassVar[Patience] = Patience(leaving=patient(60), head=patient(60))


class Hasty(CallerProtocol):
    """Does not wait for one."""

    patience: ClassVar[Patience] = Patience(leaving=0.01, head=patient(60))


@dataclass(frozen=True, slots=True)
class Leaving:
    """A server, and where it listens."""

    server: uvicorn.Server
    port: int

    async def tell(self) -> None:
        """Tell it to leave, and wait until nobody new is let in."""
        self.server.should_exit = True
        async with asyncio.timeout(WITHIN):
            while any(each.is_serving() for each in self.server.servers):  # noqa: ASYNC110  # uvicorn looks itself
                await asyncio.sleep(0.01)


@asynccontextmanager
async def leaving(protocol: type[CallerProtocol]) -> AsyncIterator[Leaving]:
    """A server of that protocol, which has left at the end."""

    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("said")

    app = Starlette(routes=[Route("/", answer)])
    with listener() as bound:
        server = uvicorn.Server(listening(app, grace=GRACE, protocol=protocol))
        running = asyncio.create_task(server.serve(sockets=[bound]))
        yield Leaving(server, bound.getsockname()[1])
        server.should_exit = True
        async with asyncio.timeout(WITHIN):
            await running


@pytest.mark.parametrize("requests_before", [0, 1])
async def test_a_request_that_is_on_its_way_is_the_last_that_is_answered(requests_before: int) -> None:
    async with leaving(Waiting) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(requests_before):
            writer.write(REQUEST)
            before = await reader.readuntil(b"said")
            assert b"connection: close" not in before
        await server.tell()
        writer.write(REQUEST + REQUEST)
        async with asyncio.timeout(WITHIN):
            told = await reader.read()
        writer.close()

    assert told.startswith(b"HTTP/1.1 200 ")
    assert told.count(b"said") == 1
    assert b"\r\nconnection: close\r\n" in told


async def test_half_a_head_is_waited_for() -> None:
    async with leaving(Hasty) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await reader.readuntil(b"said")
        writer.write(REQUEST[:20])
        await server.tell()
        writer.write(REQUEST[20:])
        async with asyncio.timeout(WITHIN):
            told = await reader.read()
        writer.close()

    assert told.startswith(b"HTTP/1.1 200 ")


async def test_who_says_nothing_is_hung_up_on_after_a_moment() -> None:
    async with leaving(Hasty) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await reader.readuntil(b"said")
        await server.tell()
        async with asyncio.timeout(WITHIN):
            told = await reader.read()
        writer.close()

    assert told == b""
