"""Wake-ups: announce when work is due, in this process by a bell, to the others by LISTEN/NOTIFY.

A notification may be lost with its connection, so every process also polls every `POLL_INTERVAL_S` seconds. A process
that looks learns when the next work is due. So only work that is due before the next poll, and before the last
announced time, has to be announced.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg

from service.adapters.postgres.server import presence
from service.adapters.postgres.server.notify_line import HEARTBEAT_INTERVAL_S, RECONNECT_DELAY_S, NotifyLine, Talk

CHANNEL = "relevo_due"
TASK_CHANNEL = "relevo_task_due"
SOURCE_CHANNEL = "relevo_source"
STREAM_CHANNEL = "relevo_stream_due"
POLL_INTERVAL_S = 5.0

NOTIFY = "SELECT pg_notify($1, $2)"


class Bell:
    """Rings in this process when work of one kind may be due. `stir` requests a notification of the other processes.

    A notification has the milliseconds to wait, so that only each process's own clock matters.
    """

    def __init__(self, channel: str, *, stir: Callable[[], None] = lambda: None) -> None:
        self._channel = channel
        self._stir = stir
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._to_tell: float | None = None
        self._told = 0.0

    def announce(self, seconds: float = 0.0) -> None:
        """Work is due in `seconds`. Cheap: many announcements become one notification."""
        self.ring(seconds)
        now = asyncio.get_running_loop().time()
        at = now + max(seconds, 0.0)
        everybody_looks_before = at > now + POLL_INTERVAL_S or now < self._told <= at
        if not everybody_looks_before:
            self._to_tell = at if self._to_tell is None else min(self._to_tell, at)
            self._stir()

    def ring(self, seconds: float = 0.0) -> None:
        """Wake this process only, in `seconds`."""
        if seconds <= 0:
            self._due.set()
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None and loop.time() < self._timer.when():
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._due.set)

    def forget(self) -> None:
        """Clear the bell; call it before looking for work, so that no later ring is lost."""
        self._due.clear()

    async def wait(self, seconds: float) -> None:
        """Return when the bell rings, at the latest after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._due.wait()

    def heard(self, said: str) -> None:
        """A notification of another process: milliseconds until work is due, or empty for now."""
        self.ring(int(said) / 1000 if said.isdecimal() else 0.0)

    async def tell(self, connection: asyncpg.Connection) -> None:
        """Notify the other processes, if there is something to announce."""
        at, self._to_tell = self._to_tell, None
        if at is None:
            return
        milliseconds = max(0, int((at - asyncio.get_running_loop().time()) * 1000))
        await connection.execute(NOTIFY, self._channel, str(milliseconds))
        self._told = at


class Wakeups:
    """The bells of deliveries, of background tasks, of changed sources and of ordered destinations. Holds one
    connection, by which others see that a process of the `role` is at work."""

    def __init__(
        self,
        dsn: str,
        *,
        role: str | None = None,
        heartbeat: float = HEARTBEAT_INTERVAL_S,
        reconnect: float = RECONNECT_DELAY_S,
    ) -> None:
        self._role = role
        self._line = NotifyLine(dsn, name="wakeups", heartbeat=heartbeat, reconnect=reconnect)
        self.deliveries = Bell(CHANNEL, stir=self._line.stir)
        self.tasks = Bell(TASK_CHANNEL, stir=self._line.stir)
        self.sources = Bell(SOURCE_CHANNEL, stir=self._line.stir)
        self.streams = Bell(STREAM_CHANNEL, stir=self._line.stir)
        self._bells = {
            CHANNEL: self.deliveries,
            TASK_CHANNEL: self.tasks,
            SOURCE_CHANNEL: self.sources,
            STREAM_CHANNEL: self.streams,
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen and notify while the block lasts, reconnecting as needed."""
        hears = {channel: bell.heard for channel, bell in self._bells.items()}
        async with self._line.running(Talk(hears=hears, opened=self._opened, tells=self._tell)):
            yield

    async def _opened(self, connection: asyncpg.Connection) -> None:
        if self._role is not None:
            await presence.appear(connection, self._role)
        # Something may have been announced while there was no connection.
        for bell in self._bells.values():
            bell.ring()

    async def _tell(self, connection: asyncpg.Connection) -> None:
        for bell in self._bells.values():
            await bell.tell(connection)
