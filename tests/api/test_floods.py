"""Floods of tiny frames: whoever sends them, everybody else has a turn, and nobody may go on for ever."""

import asyncio
import re
import socket
from contextlib import ExitStack, suppress
from functools import partial
from typing import ClassVar

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.api.protocol.connections import CallerProtocol
from service.api.protocol.patience import Patience
from service.api.protocol.sockets import SocketProtocol
from tests.api.followers import frame, offer
from tests.api.raw_callers import IN_TIME, Echo, calling
from tests.support.serving import serving
from tests.support.turns import turns

A_TURN = 0.04  # seconds of the processor: of some such turns a health check is to be answered in 100 ms
A_READ = 256 * 1024  # what a server reads at once
HEAD = b"%b / HTTP/1.1\r\nhost: relevo.test\r\ntransfer-encoding: chunked\r\n\r\n"
A_CHUNK = b"1\r\na\r\n"
LAST = b"GET / HTTP/1.1\r\nhost: relevo.test\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop of `relevo serve`, which reads far more in one turn than asyncio's own."""
    return "asyncio", {"use_uvloop": True}


class Brief(CallerProtocol):
    """Drains little of what comes behind an answer."""

    patience: ClassVar[Patience] = Patience(drained_bytes=4 * A_READ)


class Counted:
    """An application that hears what is said on a WebSocket, and counts it."""

    def __init__(self) -> None:
        self.heard = 0
        self.app = Starlette(routes=[WebSocketRoute("/tail", self._listen)])

    async def _listen(self, client: WebSocket) -> None:
        await client.accept()
        with suppress(WebSocketDisconnect):
            while True:
                await client.receive_text()
                self.heard += 1


def flood(port: int, head: bytes, *parts: bytes) -> bytes:
    """Everything that is answered to a caller who, once its head is answered, sends without pause. For a thread."""
    with socket.create_connection(("127.0.0.1", port), timeout=IN_TIME) as caller:
        caller.sendall(head)
        answer = caller.recv(A_READ)
        for part in parts:
            caller.sendall(part)
        return answer + everything(caller)


def everything(caller: socket.socket) -> bytes:
    """All that is still answered, to the end of the connection."""
    return b"".join(iter(partial(caller.recv, A_READ), b""))


async def test_a_flood_of_tiny_chunks_leaves_a_turn_to_everybody_else() -> None:
    chunks = A_CHUNK * (16 * A_READ // len(A_CHUNK))

    async with serving(Echo().app) as port, turns() as watched:
        answer = await asyncio.to_thread(flood, port, HEAD % b"DELETE", chunks, b"0\r\n\r\n" + LAST)

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"405", b"200"]
    assert watched.longest < A_TURN


async def test_many_floods_at_once_leave_a_turn_to_everybody_else() -> None:
    flooded = A_CHUNK * (A_READ // len(A_CHUNK)) + b"0\r\n\r\n" + LAST

    async with serving(Echo().app) as port:
        with ExitStack() as open_ones:
            call = partial(socket.create_connection, ("127.0.0.1", port), timeout=IN_TIME)
            callers = [open_ones.enter_context(call()) for _ in range(30)]
            for caller in callers:
                caller.sendall(HEAD % b"DELETE")
                await asyncio.to_thread(caller.recv, 1, socket.MSG_PEEK)
            for caller in callers:
                caller.sendall(flooded)  # the server, of the same thread, finds all at once
            async with turns() as watched:
                answers = [await asyncio.to_thread(everything, caller) for caller in callers]

    assert [re.findall(rb"HTTP/1\.1 (\d+) ", answer) for answer in answers] == [[b"405", b"200"]] * len(callers)
    assert watched.longest < A_TURN


async def test_who_goes_on_sending_a_body_that_is_answered_is_hung_up_on() -> None:
    sent, most = 0, 80 * A_READ
    piece = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"

    async with serving(Echo().app, protocol=Brief) as port, calling(port) as caller:
        await caller.send(HEAD % b"DELETE")
        assert (await caller.head()).startswith(b"HTTP/1.1 405 ")
        with suppress(ConnectionError):
            while sent < most:
                await caller.send_apart(piece)
                sent += len(piece)

    assert Brief.patience.drained_bytes < sent < most


@pytest.mark.parametrize("opcode", [1, 10], ids=["messages", "pongs"])
async def test_a_flood_of_empty_frames_leaves_a_turn_to_everybody_else(opcode: int) -> None:
    counted = Counted()
    tiny = frame(opcode)
    count = 2 * A_READ // len(tiny)

    async with serving(counted.app, websockets=SocketProtocol) as port, turns() as watched:
        await asyncio.to_thread(flood, port, offer("/tail"), tiny * count, frame(8))

    assert counted.heard == (count if opcode == 1 else 0)
    assert watched.longest < A_TURN
