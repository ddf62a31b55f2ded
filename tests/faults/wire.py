"""The wire between Relevo and its database, in our hands: it can be cut, slowed down, or swallow what it is given."""

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65_536

# An ErrorResponse of PostgreSQL's protocol: severity, then the code of five characters.
REFUSAL = re.compile(rb"V(?:ERROR|FATAL|PANIC)\0C([0-9A-Z]{5})\0")


@dataclass(slots=True, kw_only=True)
class Wire:
    """Connections to 127.0.0.1:`port` reach the Unix socket that `target` names at that moment. What happens to them is
    counted: connections `reset` by us, and `lost` because the database ended them, packets `swallowed` and `delayed`,
    and each refusal of the database that came through, by its SQLSTATE."""

    target: Callable[[], str]
    port: int = 0
    delay: float = 0.0
    lingering: bool = False  # what the database said at the end of a connection has come, the end has not
    reset: int = 0
    lost: int = 0
    swallowed: int = 0
    delayed: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    _open: bool = True
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: asyncio.Condition = field(default_factory=asyncio.Condition)
    _lines: set["_Line"] = field(default_factory=set)

    def cut(self) -> None:
        """Reset every connection, and each new one until `mend`."""
        self._open = False
        for line in self._lines:
            self.reset += 1
            line.reset()

    def swallow(self) -> None:
        """Answer nothing any more, and tell nobody: what is connected now hangs for good, what connects later hangs
        until `mend`."""
        self._passing.clear()
        for line in self._lines:
            line.mute = True

    def mend(self) -> None:
        """New connections pass again, at full speed."""
        self._open, self.delay = True, 0.0
        self._passing.set()

    async def asked(self) -> None:
        """Wait until Relevo sends the next packet to its database."""
        async with self._asked:
            await self._asked.wait()

    async def muted(self) -> None:
        """Wait until something is swallowed."""
        async with self._asked:
            await self._asked.wait_for(lambda: self.swallowed > 0)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from Relevo, until either end closes it."""
        if not self._open:
            self.reset += 1
            _Line(near=writer).reset()
            return
        line = _Line(near=writer)
        self._lines.add(line)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._passing.wait()
                far_reader, line.far = await asyncio.open_unix_connection(self.target())
                await self._carry_both_ways(line, reader, far_reader, line.far)
        finally:
            self._lines.discard(line)
            line.reset()

    async def _carry_both_ways(
        self, line: "_Line", reader: asyncio.StreamReader, far_reader: asyncio.StreamReader, far: asyncio.StreamWriter
    ) -> None:
        there = asyncio.create_task(self._carry(line, reader, far))
        back = asyncio.create_task(self._carry(line, far_reader, line.near, listen=True))
        ended, _ = await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        self.lost += back in ended and there not in ended and not line.cut
        if self.lingering and back in ended:
            await there
        there.cancel()
        back.cancel()

    async def _carry(
        self, line: "_Line", reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, listen: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if listen:
                    self.refusals.update(code.decode() for code in REFUSAL.findall(data))
                if self.delay:
                    self.delayed += 1
                    await asyncio.sleep(self.delay)
                if line.mute:
                    self.swallowed += 1
                else:
                    writer.write(data)
                    await writer.drain()
                if not listen:
                    async with self._asked:
                        self._asked.notify_all()


@dataclass(slots=True, kw_only=True, eq=False)
class _Line:
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    mute: bool = False
    cut: bool = False

    def reset(self) -> None:
        self.cut = True
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
