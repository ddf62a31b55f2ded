"""Stands between a server and its client, for connections that a dialer opened: how much the server may say, and what
of it the client never hears."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from service.adapters.destinations.conversation import Unreadable, unreadable

# What a server may say before we say something again: several times a batch, which RabbitMQ returns whole when no queue
# takes it. No other answer is as long.
MOST_SAID_BYTES = 16 * 1024 * 1024
TOO_MUCH = "The server says more than any answer has."

Watch = Callable[[bytes], None]


class Ear(asyncio.Protocol):
    """Hears a server, and passes on what it says to its client's protocol.

    A server that says too much, what the client cannot read or what `watch` raises Unreadable for loses the connection.
    """

    def __init__(self, client: Any, *, most: int, watch: Callable[[], Watch] | None) -> None:
        self.client = client
        self._most = self._left = most
        self._made_watch = watch
        self._watch = watch() if watch else None
        self.voice: Voice | None = None
        self._deaf = False

    def anew(self, client: Any) -> "Ear":
        """One for another protocol on the same connection."""
        return Ear(client, most=self._most, watch=self._made_watch)

    def spoken(self) -> None:
        """We said something: the server may answer."""
        self._left = self._most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.voice = Voice(transport, self)
        self.client.connection_made(self.voice)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._deaf:
            return
        self._left -= len(data)
        if self._left < 0:
            self._fail(Unreadable(TOO_MUCH))
            return
        try:
            if self._watch is not None:
                self._watch(data)
            self.client.data_received(data)
        except Unreadable as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  # a client raises anything, and the event loop would log it
            self._fail(unreadable(error))

    def eof_received(self) -> bool | None:
        """Called by the event loop."""
        return None if self._deaf else self.client.eof_received()

    def pause_writing(self) -> None:
        """Called by the event loop."""
        self.client.pause_writing()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self.client.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        if not self._deaf:
            self._deaf = True
            self.client.connection_lost(exc)

    def _fail(self, error: Unreadable) -> None:
        self._deaf = True
        if self.voice is not None:
            self.voice.abort()
        self.client.connection_lost(error)


class Voice:
    """A transport that tells the ear when something is said."""

    def __init__(self, transport: Any, ear: Ear) -> None:
        self.transport = transport
        self.ear = ear

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: Any) -> None:
        """As the transport's."""
        self.ear.spoken()
        self.transport.write(data)

    def writelines(self, pieces: Any) -> None:
        """As the transport's."""
        self.ear.spoken()
        self.transport.writelines(pieces)

    def get_protocol(self) -> Any:
        """The client's."""
        return self.ear.client

    def set_protocol(self, client: Any) -> None:
        """As the transport's; the protocol hears no more than the one before it."""
        self.ear = self.ear.anew(client)
        self.ear.voice = self
        self.transport.set_protocol(self.ear)


async def connected(
    factory: Callable[[], Any],
    opened: socket.socket,
    *,
    most: int,
    context: ssl.SSLContext | None = None,
    host: str | None = None,
    watch: Callable[[], Watch] | None = None,
    **options: Any,
) -> tuple[Voice, Any]:
    """As the event loop's `create_connection`, over a socket that is connected, which is closed if that fails. A
    certificate has to be the host's."""
    loop = asyncio.get_running_loop()
    try:
        _, ear = await loop.create_connection(
            lambda: Ear(factory(), most=most, watch=watch),
            sock=opened,
            ssl=context,
            server_hostname=host if context else None,
            **options,
        )
    except BaseException:
        opened.close()
        raise
    return cast("Voice", ear.voice), ear.client


async def encrypted(voice: Voice, client: Any, context: ssl.SSLContext, *, host: str | None, **options: Any) -> Voice:
    """As the event loop's `start_tls`."""
    ear = voice.ear.anew(client)
    loop = asyncio.get_running_loop()
    transport = await loop.start_tls(voice.transport, ear, context, server_hostname=host, **options)
    if transport is None:
        raise ConnectionResetError
    ear.voice = Voice(transport, ear)
    return ear.voice


async def streams(
    opened: socket.socket, *, limit: int, most: int, context: ssl.SSLContext | None = None, host: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As asyncio's `open_connection`."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    voice, _ = await connected(lambda: protocol, opened, most=most, context=context, host=host)
    return reader, asyncio.StreamWriter(voice, protocol, reader, loop)  # type: ignore[arg-type]  # it is one by its methods
