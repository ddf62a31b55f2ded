"""A simple proxy before several servers: it asks /readyz who may be sent requests, and repeats nothing that was sent.

Each request has connections of its own, to the proxy and from there, so that nothing depends on how they are reused.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

LOOK_EVERY = 0.05  # seconds
CHUNK = 65_536


@dataclass(slots=True, kw_only=True)
class Proxy:
    """What passes a running proxy. `statuses` counts the answers, 0 for one that did not come."""

    ports: Sequence[int]
    url: str = ""
    statuses: Counter[int] = field(default_factory=Counter)
    under_way: Counter[int] = field(default_factory=Counter)
    _ready: set[int] = field(default_factory=set)
    _taken_out: set[int] = field(default_factory=set)
    _looked: asyncio.Condition = field(default_factory=asyncio.Condition)
    _turn: int = 0

    async def take_out(self, port: int) -> None:
        """Send that server nothing more, as an orchestrator does before it asks one to leave."""
        self._taken_out.add(port)
        self._ready.discard(port)
        async with self._looked:
            await self._looked.wait_for(lambda: not self.under_way[port])

    async def put_back(self, port: int) -> None:
        """Send it requests again, once it says that it is ready."""
        self._taken_out.discard(port)
        async with self._looked:
            await self._looked.wait_for(lambda: port in self._ready)

    async def look(self) -> None:
        """Ask all who are not taken out whether they are ready, again and again."""
        while True:
            for port in self.ports:
                ready = port not in self._taken_out and await _is_ready(port)
                (self._ready.add if ready and port not in self._taken_out else self._ready.discard)(port)
            async with self._looked:
                self._looked.notify_all()
            await asyncio.sleep(LOOK_EVERY)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request and give back one answer."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await _read_request(reader)
            answer = await self._ask_one(request)
            self.statuses[int(answer[9:12]) if answer else 0] += 1
            writer.write(answer)
            await writer.drain()
        writer.close()

    async def _ask_one(self, request: bytes) -> bytes:
        for _ in self.ports:
            port = self._next()
            self.under_way[port] += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue  # nothing was sent, so another may be asked
            else:
                return await _exchange(reader, writer, request)
            finally:
                self.under_way[port] -= 1
        return b""

    def _next(self) -> int:
        self._turn += 1
        ready = sorted(self._ready) or sorted(self.ports)
        return ready[self._turn % len(ready)]


@asynccontextmanager
async def running_proxy(ports: Sequence[int]) -> AsyncIterator[Proxy]:
    """A proxy on a free port, before the servers at these ports."""
    proxy = Proxy(ports=ports)
    server = await asyncio.start_server(proxy.pass_on, "127.0.0.1", 0, backlog=1024)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    looking = asyncio.create_task(proxy.look())
    try:
        yield proxy
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        server.close()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """One request, which asks for its connection to be closed."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    lengths = [int(line.partition(b":")[2]) for line in lines if line.lower().startswith(b"content-length:")]
    body = await reader.readexactly(lengths[0]) if lengths else b""
    return b"\r\n".join([*lines, b"Connection: close", b"", body])


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """The whole answer; nothing when it broke off."""
    answer = b""
    try:
        writer.write(request)
        while chunk := await reader.read(CHUNK):
            answer += chunk
    except ConnectionError:
        return b""
    finally:
        writer.close()
    return answer


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    return (await _exchange(reader, writer, b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))[
        9:12
    ] == b"200"
