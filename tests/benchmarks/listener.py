"""A server that does next to nothing, so that what stands before it is what is measured."""

import asyncio
import re
import signal
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import uvloop

from tests.benchmarks.wire import content_length

_LINE = re.compile(rb"([A-Z]+) (\S+) ")
_HEAD = b"HTTP/1.1 %d Answer\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer, after so many seconds."""

    body: bytes = b"{}"
    delay: float = 0.0
    status: int = 200
    closes: bool = False  # the connection, afterwards


Handle = Callable[[str, str, bytes, bytes], Reply]


def listen(handle: Handle, *, certificate: str | None = None) -> None:
    """Serve on a free port of 127.0.0.1, printed on the first line, until SIGTERM. `handle` is given method, path,
    head and body. With a certificate, a file that has its key too, there is a second port, for TLS.
    """
    uvloop.run(_serve(handle, certificate))


async def _serve(handle: Handle, certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    contexts = [None, *map(_context, [certificate] if certificate else [])]
    servers = [
        await loop.create_server(lambda: _Exchange(handle), "127.0.0.1", 0, backlog=2048, ssl=context)
        for context in contexts
    ]
    ports = (server.sockets[0].getsockname()[1] for server in servers)
    sys.stdout.write(f"{' '.join(map(str, ports))}\n")
    sys.stdout.flush()
    await told.wait()


def _context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


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
            asyncio.get_running_loop().call_later(reply.delay, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        if self._transport is not None and not self._transport.is_closing():
            head = _HEAD % reply.status
            self._transport.write(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(reply.body), reply.body))
            if reply.closes:
                self._transport.close()
