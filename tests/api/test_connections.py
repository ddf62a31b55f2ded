"""The server on a real socket, and callers who send what no client sends."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message
from structlog.contextvars import bind_contextvars, get_contextvars

from service.api.protocol.bodies import HeldBodies, JsonRequest
from service.api.protocol.connections import CallerProtocol
from service.api.protocol.patience import Patience
from service.domain.limits import MAX_BODY_BYTES
from service.observability.refusals import RefusedRequests
from tests.api.raw_callers import IN_TIME, Caller, Echo, calling
from tests.support.serving import serving

SOON = 0.4
MOST_OF_A_HEAD = Patience().head_bytes
A_PIECE = 64 * 1024
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


class HastyWithReaders(CallerProtocol):
    """A server that gives up soon on who does not read."""

    patience: ClassVar[Patience] = Patience(unread=SOON)


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
    app.state.max_body_bytes, app.state.body_timeout = MAX_BODY_BYTES, SOON
    app.state.held_bodies = HeldBodies()
    request = JsonRequest({"type": "http", "headers": [], "app": app}, _a_piece_after_a_while)

    with pytest.raises(HTTPException) as refused:
        await request.json()

    assert refused.value.status_code == 408


class Named:
    """An application that names what each request is about, before it reads the body, and tells what was named."""

    def __init__(self) -> None:
        self.before: list[dict[str, object]] = []
        self.app = Starlette(routes=[Route("/{name}", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        self.before.append(get_contextvars())
        bind_contextvars(app_id=request.path_params["name"])
        return Response(f"{len(await request.body())}")


class Refusals(RefusedRequests):
    """What was named where a refusal is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.named: list[dict[str, object]] = []

    def __call__(self, **told: Any) -> None:
        self.named.append(get_contextvars())


async def test_what_comes_next_on_a_connection_is_not_told_to_be_about_the_request_before() -> None:
    named, refusals = Named(), Refusals()
    large = b"a" * (20 * A_PIECE)  # so much that the server stops reading until the application asks for more
    protocol = type("Telling", (CallerProtocol,), {"refused": refusals})
    async with serving(named.app, protocol=protocol) as port, calling(port) as caller:
        for name in (b"first", b"second"):
            head = b"POST /%b HTTP/1.1\r\nhost: relevo.test\r\ncontent-length: %d\r\n\r\n" % (name, len(large))
            await caller.send(head, large)
            assert await caller.head() == b"HTTP/1.1 200 OK"
        await caller.send(b"no request\r\n\r\n")
        await caller.everything()

    assert named.before == [{}, {}]
    assert refusals.named == [{}]


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


BESIDE = {
    "trailers": (b"0\r\n", b"a: b\r\n"),
    "one trailer": (b"0\r\na: ", b"bbbbbbbb"),
    "the name of a trailer": (b"0\r\n", b"aaaaaaaa"),
    "an extension": (b"1;a=", b"bbbbbbbb"),
    "an extension in quotes": (b'1;a="', b"bbbbbbbb"),
    "chunks of a byte with long extensions": (b"", b"1;" + b"a" * 200 + b"\r\nx\r\n"),
    "the length of a chunk": (b"", b"00000000"),
}


@pytest.mark.parametrize("case", BESIDE)
@pytest.mark.parametrize("method", [b"POST", b"DELETE"])
async def test_what_comes_beside_a_body_does_not_fill_the_memory(case: str, method: bytes, ordinary: int) -> None:
    """DELETE is answered at once, with 405, and what follows is read for nobody."""
    first, again = BESIDE[case]
    most = 74_000_000 if case == "trailers" else 16_000_000
    before, sent, connections = resident_bytes(), 0, 0
    while sent < most:
        connections += 1
        async with calling(ordinary) as caller:
            with suppress(ConnectionError):
                await caller.send(HEAD.replace(b"POST", method) + b"transfer-encoding: chunked\r\n\r\n" + first)
                while sent < most:
                    sent += A_PIECE
                    await caller.send_apart(again * (A_PIECE // len(again)))

    assert resident_bytes() - before < 24_000_000
    assert connections > 1, "nobody may go on for so long"


async def test_many_small_chunks_are_a_body_like_any_other(ordinary: int, echo: Echo) -> None:
    async with calling(ordinary) as caller:
        await caller.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(40):
            await caller.send_apart(b"1\r\nx\r\n" * 1000)
        await caller.send(b"0\r\n\r\n")

        assert await caller.head() == b"HTTP/1.1 200 OK"
        assert echo.requests == [b"x" * 40_000]


async def test_an_answer_that_nobody_reads_is_given_up_on_and_one_that_is_read_slowly_is_not() -> None:
    gone = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
                await asyncio.sleep(0)
        finally:
            gone.set()

    async def stream(_: Request) -> Response:
        return StreamingResponse(endless())

    app = Starlette(routes=[Route("/echo", stream, methods=["POST"])])
    async with serving(app, protocol=HastyWithReaders) as port, calling(port) as caller:
        await caller.send(HEAD + b"content-length: 0\r\n\r\n")
        for _ in range(12):
            await asyncio.sleep(SOON / 4)
            await caller.exactly(2_000_000)
        assert not gone.is_set()

        async with asyncio.timeout(IN_TIME):
            await gone.wait()  # since nobody reads any more


@pytest.mark.parametrize("ending", [b"", b"connection: close\r\n"])
async def test_the_rest_of_an_answer_is_not_kept_for_who_never_reads_it(ending: bytes, echo: Echo) -> None:
    async def much(_: Request) -> Response:
        return Response(b"x" * 16_000_000)

    app = Starlette(routes=[Route("/echo", much, methods=["POST"])])
    async with serving(app, protocol=HastyWithReaders) as port, calling(port) as caller:
        await caller.send(HEAD + ending + b"content-length: 0\r\n\r\n")
        await caller.head_only()
        await asyncio.sleep(SOON * 4)

        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await caller.exactly(16_000_000)


def resident_bytes() -> int:
    """Of this process, in which the server runs as well."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _drip(caller: Caller, data: bytes) -> None:
    for position in range(len(data)):
        await caller.send(data[position : position + 1])
        await asyncio.sleep(SOON / 20)


async def _a_piece_after_a_while() -> Message:
    await asyncio.sleep(SOON / 4)
    return {"type": "http.request", "body": b" ", "more_body": True}
