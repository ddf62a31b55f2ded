"""A connection for LISTEN and NOTIFY between processes, which is opened again when it is lost.

It must be a direct connection, since a pooler in transaction mode does not support LISTEN. A dead connection is noticed
by a heartbeat query. Notifications sent meanwhile are lost, and `lost` is called.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from service.adapters.postgres.server.connections import CONNECT_TIMEOUT_S, connect
from service.adapters.postgres.server.database import unavailable_when_lost
from service.domain.errors import Unavailable

COALESCE_DELAY_S = 0.01
RECONNECT_DELAY_S = 1.0
HEARTBEAT_INTERVAL_S = 10.0
CANCEL_RETRY_S = 0.5

Hear = Callable[[str], None]
Tell = Callable[[asyncpg.Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """The callbacks of a connection.

    `hears` has the listener of each channel. `opened` is called first on each new connection, `tells` after `stir` and
    with each heartbeat, `lost` when the connection was lost.
    """

    hears: Mapping[str, Hear]
    opened: Tell
    tells: Tell
    lost: Callable[[], None] = lambda: None


class NotifyLine:
    """Listens and notifies while `running` lasts. Call `stir`, as often as you like, when there is something to
    send."""

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        heartbeat: float = HEARTBEAT_INTERVAL_S,
        reconnect: float = RECONNECT_DELAY_S,
        quiet: float = COALESCE_DELAY_S,
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._heartbeat = heartbeat
        self._reconnect = reconnect
        self._quiet = quiet
        self._stirred = asyncio.Event()
        self._log = structlog.stdlib.get_logger(f"relevo.{name}")

    def stir(self) -> None:
        """There is something to send: `tells` will be called soon."""
        self._stirred.set()

    @asynccontextmanager
    async def running(self, talk: Talk) -> AsyncIterator[None]:
        """Listen and notify while the block lasts, reconnecting as needed."""
        talker = asyncio.create_task(self._run(talk), name=self._name)
        try:
            yield
        finally:
            while not talker.done():
                # Repeated, since a statement that ends at the moment of cancelling may swallow the cancellation.
                talker.cancel()
                await asyncio.wait({talker}, timeout=CANCEL_RETRY_S)

    async def _run(self, talk: Talk) -> None:
        while True:
            try:
                with unavailable_when_lost():
                    await self._talk(talk)
            except Unavailable as error:
                self._log.warning(f"{self._name}.lost", reason=type(error.__cause__ or error).__name__)
            except Exception:  # noqa: BLE001 - whatever the error, notifications must go on
                self._log.exception(f"{self._name}.failed")
            talk.lost()
            await asyncio.sleep(self._reconnect)

    async def _talk(self, talk: Talk) -> None:
        timeout = min(CONNECT_TIMEOUT_S, self._heartbeat)
        connection = await connect(self._dsn, command_timeout=timeout)
        try:
            for channel, hear in talk.hears.items():
                await connection.add_listener(channel, _last(hear))
            # A connection that only listens would otherwise not notice its end.
            connection.add_termination_listener(lambda _: self._stirred.set())
            await talk.opened(connection)
            while True:
                await self._wait_for_notifications(connection)
                await talk.tells(connection)
                await asyncio.sleep(self._quiet)
        finally:
            connection.terminate()

    async def _wait_for_notifications(self, connection: asyncpg.Connection) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat):
                await self._stirred.wait()
        if connection.is_closed():
            raise Unavailable
        if not self._stirred.is_set():
            # A query, since silence alone does not show whether the connection is dead.
            await connection.execute("SELECT 1")
        self._stirred.clear()


def _last(hear: Hear) -> Callable[..., None]:
    def heard(*said: Any) -> None:
        hear(said[-1])

    return heard
