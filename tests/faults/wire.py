"""The wire between Relevo and its database, in our hands: it can be cut, slowed down, or swallow what it is given."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65_536


@dataclass(slots=True, kw_only=True)
class Wire:
    """Connections to 127.0.0.1:`port` reach the Unix socket that `target` names at that moment. What it does to them is
    counted: connections `reset`, packets `swallowed` and `delayed`."""

    target: Callable[[], str]
    port: int = 0
    delay: float = 0.0
    reset: int = 0
    swallowed: int = 0
    delayed: int = 0
    _open: bool = True
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: asyncio.Condition = field(default_factory=asyncio.Condition)
    _lines: set["_Line"] = field(default_factory=set)

    def cut(self) -> None:
        """Reset every connection, and each new one until `mend`."""
        self._open = False
        self._drop_all()

    def swallow(self) -> None:
        """Answer nothing any more, and tell nobody: what is connected now hangs for good, what connects later hangs
        until `mend`."""
        self._passing.clear()
        for line in self._lines:
            line.dead = True

    def mend(self) -> None:
        """New connections pass again, at full speed."""
        self._open, self.delay = True, 0.0
        self._passing.set()

    async def asked(self) -> None:
        """Wait until Relevo sends the next packet to its database."""
        async with self._asked:
            await self._asked.wait()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from Relevo, until either end closes it."""
        line = _Line(near=writer)
        self._lines.add(line)
        with suppress(OSError, asyncio.CancelledError):
            if self._open:
                await self._passing.wait()
                far_reader, line.far = await asyncio.open_unix_connection(self.target())
                there = asyncio.create_task(self._carry(line, reader, line.far))
                back = asyncio.create_task(self._carry(line, far_reader, writer))
                await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                there.cancel()
                back.cancel()
        self._lines.discard(line)
        self.reset += line.far is None
        line.reset()

    async def _carry(self, line: "_Line", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.delay:
                    self.delayed += 1
                    await asyncio.sleep(self.delay)
                if line.dead:
                    self.swallowed += 1
                    continue
                writer.write(data)
                await writer.drain()
                if writer is line.far:
                    async with self._asked:
                        self._asked.notify_all()

    def _drop_all(self) -> None:
        for line in self._lines:
            self.reset += 1
            line.reset()


@dataclass(slots=True, kw_only=True, eq=False)
class _Line:
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    dead: bool = False

    def reset(self) -> None:
        sock: socket.socket = self.near.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.near.transport.abort()
        if self.far is not None:
            self.far.transport.abort()


@asynccontextmanager
async def open_wire(target: Callable[[], str]) -> AsyncIterator[Wire]:
    """A wire that passes everything."""
    wire = Wire(target=target)
    wire.mend()
    server = await asyncio.start_server(wire.connected, "127.0.0.1", 0, backlog=1024)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
