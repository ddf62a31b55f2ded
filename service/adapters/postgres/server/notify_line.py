"""A line to the other processes: one connection that listens and notifies, and is opened again whenever it is lost.

It must be a direct connection, since a pooler in transaction mode does not carry LISTEN. A line that says nothing any
more is found out by asking it now and then; what was said on it meanwhile is lost, and `lost` is told so.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from service.adapters.postgres.server.connections import CONNECT_TIMEOUT, connect
from service.adapters.postgres.server.database import unavailable_when_lost
from service.domain.errors import Unavailable

QUIET = 0.01
RECONNECT = 1.0
HEARTBEAT = 10.0
MOMENT = 0.5

Hear = Callable[[str], None]
Tell = Callable[[asyncpg.Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What goes over a line.

    `hears` are the channels, with who listens to each. `opened` comes first on each new connection; `tells` comes when
    there is something to tell and with each heartbeat.
    """

    hears: Mapping[str, Hear]
    opened: Tell
    tells: Tell
    lost: Callable[[], None] = lambda: None


class NotifyLine:
    """Talks while `running` lasts. `stir` says, as often as one likes, that there is something to tell."""

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        heartbeat: float = HEARTBEAT,
        reconnect: float = RECONNECT,
        quiet: float = QUIET,
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._heartbeat = heartbeat
        self._reconnect = reconnect
        self._quiet = quiet
        self._stirred = asyncio.Event()
        self._log = structlog.stdlib.get_logger(f"relevo.{name}")

    def stir(self) -> None:
        """There is something to tell."""
        self._stirred.set()

    @asynccontextmanager
    async def running(self, talk: Talk) -> AsyncIterator[None]:
        """Talk while the block lasts, reconnecting as needed."""
        talker = asyncio.create_task(self._run(talk), name=self._name)
        try:
            yield
        finally:
            while not talker.done():
                # A statement that ends as it is cancelled may leave nothing of the cancellation.
                talker.cancel()
                await asyncio.wait({talker}, timeout=MOMENT)

    async def _run(self, talk: Talk) -> None:
        while True:
            try:
                with unavailable_when_lost():
                    await self._talk(talk)
            except Unavailable as error:
                self._log.warning(f"{self._name}.lost", reason=type(error.__cause__ or error).__name__)
            except Exception:  # noqa: BLE001 - whatever it is, everybody must go on being told
                self._log.exception(f"{self._name}.failed")
            talk.lost()
            await asyncio.sleep(self._reconnect)

    async def _talk(self, talk: Talk) -> None:
        patience = min(CONNECT_TIMEOUT, self._heartbeat)
        connection = await connect(self._dsn, command_timeout=patience)
        try:
            for channel, hear in talk.hears.items():
                await connection.add_listener(channel, _last(hear))
            # Who only listens would otherwise never notice that there is nothing left to listen to.
            connection.add_termination_listener(lambda _: self._stirred.set())
            await talk.opened(connection)
            while True:
                await self._something_to_tell(connection)
                await talk.tells(connection)
                await asyncio.sleep(self._quiet)
        finally:
            connection.terminate()

    async def _something_to_tell(self, connection: asyncpg.Connection) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat):
                await self._stirred.wait()
        if connection.is_closed():
            raise Unavailable
        if not self._stirred.is_set():
            # A receiver of nothing cannot tell silence from a line that is dead, unless it asks.
            await connection.execute("SELECT 1")
        self._stirred.clear()


def _last(hear: Hear) -> Callable[..., None]:
    def heard(*said: Any) -> None:
        hear(said[-1])

    return heard
