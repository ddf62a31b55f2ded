"""Servers that say what a script says, whoever calls: brokers and databases that do not keep to their protocol."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count

from tests.support.batch_stands import Listener


@dataclass(slots=True)
class Talker(Listener):
    """A server, and how many bytes it said without being heard out."""

    said: int = 0


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Talker], Awaitable[None]]

ONE_READ = 65_536


def saying(*things: bytes | None, hangs_up: bool = False) -> Script:
    """Says these things; `None` is to hear something first. Then it hangs up, or stays until the caller leaves."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Talker) -> None:
        for thing in things:
            if thing is None:
                await reader.read(ONE_READ)
            else:
                writer.write(thing)
                await writer.drain()
        while not hangs_up and await reader.read(ONE_READ):
            pass

    return say


def without_end(*things: bytes | None, more: Callable[[int], bytes]) -> Script:
    """Says these things, and then more and more."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Talker) -> None:
        await saying(*things, hangs_up=True)(reader, writer, server)
        for turn in count():
            piece = more(turn)
            writer.write(piece)
            await writer.drain()
            server.said += len(piece)

    return say


@asynccontextmanager
async def following(script: Script) -> AsyncIterator[Talker]:
    """A server that does so with each connection."""
    ongoing: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ongoing.add(task)
        task.add_done_callback(ongoing.discard)
        listener.called.set()
        with suppress(OSError, asyncio.CancelledError):
            await script(reader, writer, listener)
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        listener = Talker(server.sockets[0].getsockname()[1])
        try:
            yield listener
        finally:
            for task in tuple(ongoing):
                task.cancel()
            await asyncio.gather(*ongoing, return_exceptions=True)


def postgres_message(kind: bytes, body: bytes) -> bytes:
    """A message of a server of PostgreSQL."""
    return kind + struct.pack(">i", len(body) + 4) + body


def authentication(code: int, body: bytes = b"") -> bytes:
    """PostgreSQL's word about signing in; 0 is that it is done."""
    return postgres_message(b"R", struct.pack(">i", code) + body)


# A server of PostgreSQL lets one in.
LET_IN = authentication(0) + postgres_message(b"S", b"server_version\x0016.1\0") + postgres_message(b"Z", b"I")

GREETING = b'INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576}\r\n'


def kafka_answer(correlation: int, body: bytes) -> bytes:
    """An answer of a broker of Kafka."""
    return struct.pack(">ii", len(body) + 4, correlation) + body


def amqp_frame(kind: int, channel: int, body: bytes) -> bytes:
    """A frame of AMQP 0-9-1."""
    return struct.pack(">BHI", kind, channel, len(body)) + body + b"\xce"


def amqp_method(group: int, method: int, body: bytes, *, channel: int = 0) -> bytes:
    """A frame that calls a method."""
    return amqp_frame(1, channel, struct.pack(">HH", group, method) + body)


def _table(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


_CAPABILITIES = b"\x0ccapabilitiesF" + _table(b"\x12publisher_confirmst\x01")
# A broker lets one in: Start, Tune, Open-Ok; and then opens a channel that confirms.
START = amqp_method(10, 10, b"\0\x09" + _table(_CAPABILITIES) + _table(b"PLAIN") + _table(b"en_US"))
TUNE = amqp_method(10, 30, struct.pack(">HIH", 2047, 131_072, 0))
OPENED = amqp_method(10, 41, b"\0")
CHANNEL = amqp_method(20, 11, _table(b""), channel=1)
CONFIRMING = amqp_method(85, 11, b"", channel=1)
