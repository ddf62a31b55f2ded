"""A server that does next to nothing, so that what stands before it is what is measured."""

import asyncio
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import uvloop

from tests.benchmarks.wire import content_length

_LINE = re.compile(rb"([A-Z]+) (\S+) ")
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer, with 200, after so many seconds."""

    body: bytes = b"{}"
    delay: float = 0.0


Handle = Callable[[str, str, bytes, bytes], Reply]


def listen(handle: Handle) -> None:
    """Serve on a free port of 127.0.0.1, printed on the first line, until SIGTERM. `handle` is given method, path,
    head and body.
    """
    uvloop.run(_serve(handle))


async def _serve(handle: Handle) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    server = await loop.create_server(lambda: _Exchange(handle), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await told.wait()


class _Exchange(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._buffer = bytearray()
        self._head_end = 0
        self._length = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer and (self._length or self._read_head()) and len(self._buffer) >= self._length:
            head, body = bytes(self._buffer[: self._head_end]), bytes(self._buffer[self._head_end : self._length])
            del self._buffer[: self._length]
            self._length = 0
            self._answer(head, body)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._head_end = end + 4
        self._length = self._head_end + content_length(bytes(self._buffer[: end + 2]))
        return True

    def _answer(self, head: bytes, body: bytes) -> None:
        line = _LINE.match(head)
        assert line is not None
        reply = self._handle(line[1].decode(), line[2].decode(), head, body)
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._write, reply.body)
        else:
            self._write(reply.body)

    def _write(self, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"%sContent-Length: %d\r\n\r\n%s" % (_HEAD, len(body), body))
