"""Connections to receivers: opened by aiohttp's connector, and kept for a few seconds for the next exchange."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from opentelemetry import trace

from service.adapters.destinations.http.answers import Head, Malformed
from service.adapters.destinations.http.call_events import FIRST_BYTE, REUSED, ConnectTrace
from service.adapters.destinations.http.exchange import HttpExchange
from service.adapters.destinations.http.targets import Target

# Many servers close an idle connection after 5 s. A POST sent at that moment is lost, so we close ours earlier.
KEEP_ALIVE_S = 4.0

# The receiver closed a kept connection as we began to write, or sent unsolicited bytes on it.
_STALE_CONNECTION = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, Malformed)
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)

Kept = deque[tuple[Connection, float]]


class ReceiverConnector(aiohttp.TCPConnector):
    """A connector whose connections are `HttpExchange`s. It opens them; how many and how long is not its business."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, **options)
        # The connector has no public way to set it.
        self._factory = cast("partial[ResponseHandler]", HttpExchange)


class Connections:
    """Sends requests over kept or new connections, at most `limit` at once.

    `queued` gets the seconds that a call waited for its turn. An idle connection is kept for `keep_alive` seconds.
    """

    def __init__(
        self,
        connector: ReceiverConnector,
        *,
        limit: int,
        queued: Callable[[float], None],
        keep_alive: float = KEEP_ALIVE_S,
    ) -> None:
        self._connector = connector
        self._limit = limit
        self._queued = queued
        self._keep_alive = keep_alive
        self._loop = asyncio.get_running_loop()
        self._opening = ConnectTrace()
        self._kept: dict[ConnectionKey, Kept] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_use = 0

    async def ask(self, target: Target, request: bytes, *, timeout: float | None) -> "Call":  # noqa: ASYNC109 - it lasts on after this returns
        """Send the request and wait for the head of the answer. Close the call that this returns.

        `timeout` (seconds) bounds everything until the last byte of the body. A kept connection that turns out to be
        closed is replaced by a new one; a receiver that has read the request all the same gets it twice.
        """
        deadline = None if timeout is None else self._loop.time() + timeout
        if self.in_use < self._limit:
            self.in_use += 1
        else:
            await self._wait_for_turn(deadline)
        try:
            return await self._ask(target, request, deadline)
        except BaseException:
            self._next_turn()
            raise

    async def close(self) -> None:
        """Close all connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        closed = self._connector.close()
        for kept in self._kept.values():
            for connection, _ in kept:
                connection.close()
        self._kept.clear()
        await closed

    async def _ask(self, target: Target, request: bytes, deadline: float | None) -> "Call":
        kept = self._take(target.connection_key)
        if kept is not None:
            with suppress(*_STALE_CONNECTION):
                return await self._over(kept, target, request, deadline, reused=True)
        async with asyncio.timeout_at(deadline):
            new = await self._connector.connect(cast("ClientRequest", target), [self._opening], _NO_TIMEOUT)
        return await self._over(new, target, request, deadline)

    async def _over(
        self, connection: Connection, target: Target, request: bytes, deadline: float | None, *, reused: bool = False
    ) -> "Call":
        span = trace.get_current_span()
        if reused and span.is_recording():
            span.set_attribute(REUSED, value=True)
        line = cast("HttpExchange", connection.protocol)
        try:
            head = await line.ask(request, deadline=deadline)
        except BaseException:
            line.finish()
            connection.close()
            raise
        span.add_event(FIRST_BYTE)
        return Call(self, target.connection_key, connection, line, head)

    def give_back(self, key: ConnectionKey, connection: Connection, *, reusable: bool) -> None:
        """End a call. A connection that is `reusable` is kept for a while, any other one is closed."""
        self._next_turn()
        if not reusable or self._connector.closed:
            connection.close()
            return
        self._kept.setdefault(key, deque()).append((connection, self._loop.time()))
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._keep_alive, self._sweep)

    def _take(self, key: ConnectionKey) -> Connection | None:
        """The connection that was used last; the others grow old, and are closed."""
        kept, oldest = self._kept.get(key), self._loop.time() - self._keep_alive
        while kept:
            connection, since = kept.pop()
            if since > oldest and cast("HttpExchange", connection.protocol).is_connected():
                return connection
            connection.close()
        return None

    def _sweep(self) -> None:
        oldest = self._loop.time() - self._keep_alive
        for key, kept in list(self._kept.items()):
            while kept and kept[0][1] <= oldest:
                kept.popleft()[0].close()
            if not kept:
                del self._kept[key]
        self._sweeping = self._loop.call_later(self._keep_alive, self._sweep) if self._kept else None

    async def _wait_for_turn(self, deadline: float | None) -> None:
        turn, began = self._loop.create_future(), self._loop.time()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._next_turn()
            else:
                with suppress(ValueError):
                    self._waiting.remove(turn)
            raise
        self._queued(self._loop.time() - began)

    def _next_turn(self) -> None:
        """Who has waited longest is next."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.in_use -= 1


class Call:
    """One exchange over a connection: the head of its answer, and then its body."""

    __slots__ = ("_connection", "_connections", "_key", "_line", "head")

    def __init__(
        self, connections: Connections, key: ConnectionKey, connection: Connection, line: HttpExchange, head: Head
    ) -> None:
        self._connections = connections
        self._key = key
        self._connection: Connection | None = connection
        self._line = line
        self.head = head

    async def more(self) -> bytes:
        """The next piece of the body; empty at its end. Raises the error that cut the answer short."""
        return await self._line.more()

    def close(self) -> None:
        """Keep the connection if the whole answer was read, else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._connections.give_back(self._key, connection, reusable=self._line.finish())
