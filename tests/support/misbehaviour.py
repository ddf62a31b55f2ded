"""The ways in which a receiver answers, good and bad, by the first segment of the path: `/fail/2`, `/status/503`."""

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

HUGE = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Both ends of a connection from a sender."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes = b"ok", headers: dict[str, str] | None = None) -> None:
        """A whole, valid answer, in one packet."""
        named = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        # A 204 has no body, and is malformed with one.
        content = b"" if status == 204 else body
        length = "" if status == 204 else f"Content-Length: {len(content)}\r\n"
        head = f"HTTP/1.1 {status} Whatever\r\n{length}{named}\r\n"
        await self.send(head.encode() + content)

    async def wait_for_the_end(self) -> None:
        """Until the sender hangs up."""
        await self.reader.read()

    def hang_up(self) -> None:
        """Close cleanly; what comes next on this connection is its end."""
        self.writer.close()

    def reset(self) -> None:
        """Close with RST in place of FIN."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Received(Protocol):
    """What a behaviour may want to know of the request."""

    @property
    def nth(self) -> int: ...
    @property
    def body(self) -> bytes: ...


Behaviour = Callable[[Connection, Received, list[str]], Awaitable[None]]


async def ok(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.answer(200)


async def fail(connection: Connection, call: Received, arguments: list[str]) -> None:
    """500 as many times as the path says, then 200."""
    await connection.answer(500 if call.nth <= int(arguments[0]) else 200)


async def status(connection: Connection, _call: Received, arguments: list[str]) -> None:
    """The status in the path, with `Retry-After` when a second argument gives it."""
    extra = {"Retry-After": arguments[1]} if len(arguments) > 1 else None
    await connection.answer(int(arguments[0]), headers=extra)


async def gone(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.answer(410)


async def redirect(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.answer(302, headers={"Location": "/ok"})


async def redirect_to(connection: Connection, _call: Received, arguments: list[str]) -> None:
    """To the host and port in the path."""
    host, port = arguments
    await connection.answer(302, headers={"Location": f"http://{host}:{port}/secret"})


async def last(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    """200, and no more on this connection."""
    await connection.answer(200, headers={"Connection": "close"})
    connection.hang_up()


async def bad_redirect(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.answer(302, headers={"Location": "http://[nonsense:99999999"})


async def cookie(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.answer(200, headers={"Set-Cookie": "session=of-another-tenant; Path=/"})


async def slow(connection: Connection, _call: Received, arguments: list[str]) -> None:
    """200 after as many seconds as the path says."""
    await asyncio.sleep(float(arguments[0]))
    await connection.answer(200)


async def drip(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    """A hundred bytes, one a second."""
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(100):
        await connection.send(b".")
        await asyncio.sleep(1)


async def silence(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.wait_for_the_end()


async def disconnect(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    connection.hang_up()


async def reset(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    connection.reset()


async def reset_midway(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    connection.reset()


async def short_body(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    """Promises more than it sends, then closes cleanly."""
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    connection.hang_up()


async def huge(connection: Connection, _call: Received, arguments: list[str]) -> None:
    """50 MB, or as many bytes as the path says, for whoever reads on."""
    length = int(arguments[0]) if arguments else HUGE
    await connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
    for _ in range(length // 50_000):
        await connection.send(b"x" * 50_000)


async def body(connection: Connection, _call: Received, arguments: list[str]) -> None:
    """The bytes in the path, written in hexadecimal."""
    await connection.answer(200, bytes.fromhex(arguments[0]))


async def sized(connection: Connection, _call: Received, arguments: list[str]) -> None:
    """As many bytes as the path says."""
    await connection.answer(200, b"x" * int(arguments[0]))


async def echo(connection: Connection, call: Received, _arguments: list[str]) -> None:
    """The request's body."""
    await connection.answer(200, call.body)


async def bomb(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    """A few kilobytes of gzip that would unpack to 10 MB."""
    await connection.answer(200, gzip.compress(bytes(10_000_000)), {"Content-Encoding": "gzip"})


async def endless_headers(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await connection.send(b"X-More: and more\r\n" * 100)


async def long_header(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.answer(200, headers={"X-Long": "x" * 100_000})


async def endless_continue(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    while True:
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await asyncio.sleep(0.01)


async def garbage(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    connection.hang_up()


async def bad_chunk(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n")
    await connection.wait_for_the_end()


async def two_lengths(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!")
    await connection.wait_for_the_end()


async def odd_status(connection: Connection, _call: Received, _arguments: list[str]) -> None:
    await connection.answer(999)


BY_NAME: dict[str, Behaviour] = {
    behaviour.__name__.replace("_", "-"): behaviour
    for behaviour in (
        ok,
        fail,
        status,
        gone,
        redirect,
        redirect_to,
        last,
        bad_redirect,
        cookie,
        slow,
        drip,
        silence,
        disconnect,
        reset,
        reset_midway,
        short_body,
        huge,
        body,
        sized,
        echo,
        bomb,
        endless_headers,
        long_header,
        endless_continue,
        garbage,
        bad_chunk,
        two_lengths,
        odd_status,
    )
}
