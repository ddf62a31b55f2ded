"""Telling engines that something is due: at once in this process, by LISTEN/NOTIFY in the others.

A wake-up may be lost with its connection; the poll of the queue is the backstop, so nothing depends on one. A
connection that says nothing any more is found out by asking it now and then.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import structlog

from service.adapters.postgres.engine import CONNECT_TIMEOUT, unavailable_when_lost
from service.domain.errors import Unavailable

CHANNEL = "relevo_due"
QUIET = 0.01
RECONNECT = 1.0
HEARTBEAT = 10.0

_log = structlog.stdlib.get_logger("relevo.wakeups")


class Wakeups:
    """`announce` wakes every engine, `wait` sleeps until then. One connection of its own.

    It must be a direct connection: a pooler in transaction mode does not carry LISTEN.
    """

    def __init__(self, dsn: str, *, heartbeat: float = HEARTBEAT, reconnect: float = RECONNECT) -> None:
        self._dsn = dsn
        self._heartbeat = heartbeat
        self._reconnect = reconnect
        self._due = asyncio.Event()
        self._to_tell = asyncio.Event()

    def announce(self) -> None:
        """Something is due now. Cheap: many announcements become one notification."""
        self._due.set()
        self._to_tell.set()

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
        talker = asyncio.create_task(self._run(), name="wake-ups")
        try:
            yield
        finally:
            talker.cancel()
            await asyncio.gather(talker, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                with unavailable_when_lost():
                    await self._talk()
            except Unavailable as error:
                _log.warning("wakeups.lost", reason=type(error.__cause__ or error).__name__)
            except Exception:  # noqa: BLE001 - whatever it is, the other processes must go on being told
                _log.exception("wakeups.failed")
            await asyncio.sleep(self._reconnect)

    async def _talk(self) -> None:
        patience = min(CONNECT_TIMEOUT, self._heartbeat)
        connection = await asyncpg.connect(self._dsn, timeout=CONNECT_TIMEOUT, command_timeout=patience)
        try:
            await connection.add_listener(CHANNEL, self._heard)
            # Who only listens would otherwise never notice that there is nothing left to listen to.
            connection.add_termination_listener(lambda _: self._to_tell.set())
            self._due.set()  # whatever was announced while nobody listened
            while not connection.is_closed():
                something = await self._something_to_tell()
                if connection.is_closed():
                    raise Unavailable
                # A receiver of nothing cannot tell silence from a line that is dead, unless it asks.
                await connection.execute(f"NOTIFY {CHANNEL}" if something else "SELECT 1")
                await asyncio.sleep(QUIET)
        finally:
            connection.terminate()

    async def _something_to_tell(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat):
                await self._to_tell.wait()
        something = self._to_tell.is_set()
        self._to_tell.clear()
        return something

    def _heard(self, *_: Any) -> None:
        self._due.set()
