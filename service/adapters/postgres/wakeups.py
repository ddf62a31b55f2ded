"""Telling engines that something is due: at once in this process, by LISTEN/NOTIFY in the others.

A wake-up may be lost with its connection; the poll of the queue is the backstop, so nothing depends on one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from service.adapters.postgres.line import HEARTBEAT, RECONNECT, Line, Talk

CHANNEL = "relevo_due"


class Wakeups:
    """`announce` wakes every engine, `wait` sleeps until then. One connection of its own."""

    def __init__(self, dsn: str, *, heartbeat: float = HEARTBEAT, reconnect: float = RECONNECT) -> None:
        self._line = Line(dsn, name="wakeups", heartbeat=heartbeat, reconnect=reconnect)
        self._due = asyncio.Event()
        self._announced = False

    def announce(self) -> None:
        """Something is due now. Cheap: many announcements become one notification."""
        self._due.set()
        self._announced = True
        self._line.stir()

    def wake(self) -> None:
        """Wake the engine of this process alone."""
        self._due.set()

    def forget(self) -> None:
        """Forget what was announced so far; called before looking at the queue, so that nothing in between is lost."""
        self._due.clear()

    async def wait(self, seconds: float) -> None:
        """Return when something was announced, at the latest after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._due.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen and notify while the block lasts, reconnecting as needed."""
        talk = Talk(hears={CHANNEL: lambda _: self._due.set()}, opened=self._opened, tells=self._tell)
        async with self._line.running(talk):
            yield

    async def _opened(self, _: asyncpg.Connection) -> None:
        self._due.set()  # whatever was announced while nobody listened

    async def _tell(self, connection: asyncpg.Connection) -> None:
        announced, self._announced = self._announced, False
        if announced:
            await connection.execute(f"NOTIFY {CHANNEL}")
