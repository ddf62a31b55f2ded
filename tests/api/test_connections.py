"""The server on a real socket, and callers who send what no client sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import ClassVar

import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import Message

from service.api.app import LARGEST_BODY
from service.api.connections import CallerProtocol, Patience
from service.api.json_body import JsonRequest
from tests.api.raw_callers import IN_TIME, Caller, Echo, calling
from tests.support.serving import serving

SOON = 0.4
MOST_OF_A_HEAD = Patience().head_bytes
HEAD = b"POST /echo HTTP/1.1\r\nhost: relevo.test\r\n"


AMBIGUOUS = {
    "CL.TE": HEAD + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET",
    "TE.CL": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\nGET",
    "two lengths": HEAD + b"content-length: 4\r\ncontent-length: 9\r\n\r\nfourfifth",
    "a list of lengths": HEAD + b"content-length: 4, 4\r\n\r\nfour",
    "a signed length": HEAD + b"content-length: +4\r\n\r\nfour",
    "a hexadecimal length": HEAD + b"content-length: 0x4\r\n\r\nfour",
    "an overflowing length": HEAD + b"content-length: 18446744073709551620\r\n\r\nfour",
    "blank before the colon": HEAD + b"content-length : 4\r\n\r\nfour",
    "another coding": HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": HEAD + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a negative chunk": HEAD + b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    "an overflowing chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "a chunk too long": HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\nfourX\r\n0\r\n\r\n",
    "obs-fold": HEAD + b"x-folded: one\r\n content-length: 4\r\n\r\nfour",
    "a lone carriage return": HEAD + b"x-a: b\rcontent-length: 4\r\n\r\nfour",
    "a null byte": HEAD + b"x-a: b\x00c\r\n\r\n",
    "a name that is no token": HEAD + b"\xc4\xb0: 4\r\n\r\n",
    "no name": HEAD + b": 4\r\n\r\n",
    "two versions": b"GET /echo HTTP/1.1 HTTP/1.1\r\n\r\n",
}


class HastyWithHeads(CallerProtocol):
    """A server that gives up soon, unless it has been told who is talking."""

    patience: ClassVar[Patience] = Patience(head=SOON, silence=IN_TIME)


class Hasty(CallerProtocol):
    """A server that gives up soon."""

    patience: ClassVar[Patience] = Patience(head=SOON, silence=SOON)


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def hasty(echo: Echo) -> AsyncIterator[int]:
    """The port of a server that gives up soon."""
    async with serving(echo.app, protocol=Hasty) as port:
        yield port


@pytest.fixture
async def ordinary(echo: Echo) -> AsyncIterator[int]:
    """The port of a server with the patience that callers know."""
    async with serving(echo.app, protocol=CallerProtocol) as port:
        yield port


async def test_a_caller_who_sends_nothing_is_hung_up_on(hasty: int) -> None:
    async with calling(hasty) as caller:
        assert await caller.everything() == b""


async def test_a_head_that_comes_byte_by_byte_has_a_time_by_which_it_is_whole(hasty: int, echo: Echo) -> None:
    async with calling(hasty) as caller:
        dripping = asyncio.create_task(_drip(caller, HEAD + b"x-filler: " + b"a" * 100_000))
        answer = await caller.everything()

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert echo.requests == []
        dripping.cancel()


async def test_a_second_head_on_the_same_connection_has_such_a_time_as_well(hasty: int) -> None:
    async with calling(hasty) as caller:
        await caller.send(HEAD + b"content-length: 0\r\n\r\n")
        assert await caller.head() == b"HTTP/1.1 200 OK"
        dripping = asyncio.create_task(_drip(caller, b"\r\n" * 50_000))

        answer = await caller.everything()

        assert answer.startswith(b"HTTP/1.1 408 ")
        dripping.cancel()


async def test_a_caller_who_falls_silent_within_a_body_is_hung_up_on(hasty: int, echo: Echo) -> None:
    async with calling(hasty) as caller:
        await caller.send(HEAD + b"content-length: 10\r\n\r\n", b"five.")

        await caller.everything()

        assert echo.requests == []


async def test_a_body_that_keeps_coming_may_take_longer_than_a_head(echo: Echo) -> None:
    async with serving(echo.app, protocol=HastyWithHeads) as port, calling(port) as caller:
        await caller.send(HEAD + b"content-length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(SOON / 4)
            await caller.send(b"x")

        assert await caller.head() == b"HTTP/1.1 200 OK"
        assert echo.requests == [b"x" * 8]


async def test_a_body_of_json_has_a_time_by_which_it_is_whole() -> None:
    app = FastAPI()
    app.state.max_body_bytes, app.state.body_within = LARGEST_BODY, SOON
    request = JsonRequest({"type": "http", "headers": [], "app": app}, _a_piece_after_a_while)

    with pytest.raises(HTTPException) as refused:
        await request.json()

    assert refused.value.status_code == 408


async def test_a_head_without_end_is_refused_before_it_fills_the_memory(ordinary: int, echo: Echo) -> None:
    async with calling(ordinary) as caller:
        sent = 0
        with suppress(ConnectionError):
            while sent < 512 * MOST_OF_A_HEAD:
                await caller.send(b"x-filler: " + b"a" * 1000 + b"\r\n" if sent else HEAD)
                sent += 1000

        # The server hangs up on what it has not read, so the caller may see that before it sees the answer.
        assert sent < 512 * MOST_OF_A_HEAD
        assert echo.requests == []


async def test_what_two_servers_could_read_differently_is_refused(ordinary: int, echo: Echo) -> None:
    smuggled = b"GET /echo HTTP/1.1\r\nhost: relevo.test\r\ncontent-length: 8\r\n\r\nsmuggled"

    for case, request_bytes in AMBIGUOUS.items():
        async with calling(ordinary) as caller:
            await caller.send(request_bytes + smuggled)
            answer = await caller.everything()

        assert answer.startswith(b"HTTP/1.1 400 "), case
        assert b"smuggled" not in b"".join(echo.requests), case


async def test_an_upgrade_to_another_protocol_is_answered_as_if_it_had_not_been_asked_for(ordinary: int) -> None:
    async with calling(ordinary) as caller:
        await caller.send(HEAD + b"connection: upgrade, close\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n")

        assert (await caller.everything()).startswith(b"HTTP/1.1 200 ")


async def _drip(caller: Caller, data: bytes) -> None:
    for position in range(len(data)):
        await caller.send(data[position : position + 1])
        await asyncio.sleep(SOON / 20)


async def _a_piece_after_a_while() -> Message:
    await asyncio.sleep(SOON / 4)
    return {"type": "http.request", "body": b" ", "more_body": True}
