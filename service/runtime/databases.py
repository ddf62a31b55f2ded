"""Keeps what is over each of several databases open: from when the database first answers until the process leaves.

What is opened once survives the database's absences by itself. A database that does not answer at the start is tried
again and again, while the others are served.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog

from service.adapters.postgres.server import schema
from service.application.turns import first_of
from service.domain.errors import Unavailable
from service.domain.retries import pauses
from service.observability.health import Health
from service.observability.telemetry import Telemetry
from service.runtime.database import DATABASE_UNAVAILABLE, DATABASE_UNUSABLE, DatabaseUrls, of_one, served
from service.settings import Settings

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0  # until a database is tried again
FIRST_TRY_S = 10.0  # how long a start waits for a database

Opened = TypeVar("Opened")
Opened_co = TypeVar("Opened_co", covariant=True)

_log = structlog.stdlib.get_logger("relevo.databases")


class OpenOver(Protocol[Opened_co]):
    """Opens something over one database."""

    def __call__(self, urls: DatabaseUrls, *, name: str) -> AbstractAsyncContextManager[Opened_co]: ...


class KeptOpen(Generic[Opened]):
    """What `open_` opens over the database `name`. `failed` is called with the reason of each try that fails."""

    def __init__(
        self,
        name: str,
        open_: Callable[[], AbstractAsyncContextManager[Opened]],
        *,
        failed: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.name = name
        self._open = open_
        self._failed = failed
        self._opened: Opened | None = None
        self._tried = asyncio.Event()
        self._leaving = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether it has been opened."""
        return self._opened is not None

    def __call__(self) -> Opened:
        """What was opened. Raises Unavailable as long as it could not be."""
        if self._opened is None:
            raise Unavailable
        return self._opened

    async def tried(self) -> None:
        """Return after the first try."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY_S):
                await self._tried.wait()

    async def run(self) -> None:
        """Open it as soon as possible, and close it after `leave`, in this same task."""
        pause = pauses(FIRST_PAUSE_S, longest=LONGEST_PAUSE_S)
        while not self._leaving.is_set():
            try:
                await self._until_leaving()
            except (Unavailable, *DATABASE_UNAVAILABLE, *DATABASE_UNUSABLE) as error:
                reason = type(error.__cause__ or error).__qualname__
                _log.warning("database.not_opened", database=self.name, reason=reason)
                self._failed(reason)
            except Exception as error:  # noqa: BLE001 - the tenants of the other databases are served
                _log.exception("database.failed", database=self.name)
                self._failed(type(error).__qualname__)
            self._tried.set()
            await first_of(self._leaving.wait(), asyncio.sleep(next(pause)))

    def leave(self) -> None:
        """Close it, or open it no more."""
        self._leaving.set()

    async def _until_leaving(self) -> None:
        async with self._open() as opened:
            self._opened = opened
            self._tried.set()
            await self._leaving.wait()


@asynccontextmanager
async def all_kept_open(*kept: KeptOpen[Any]) -> AsyncIterator[None]:
    """Keep all of them open while the block lasts, which begins when each has been tried. They are closed side by side,
    so that a process with several databases takes no longer to leave."""
    tasks = {one: asyncio.create_task(one.run(), name=f"database {one.name}") for one in kept}
    try:
        await asyncio.gather(*(one.tried() for one in kept))
        yield
    finally:
        for one, task in tasks.items():
            one.leave()
            if not one.is_open:
                task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def kept_over_each(
    settings: Settings, open_: OpenOver[Opened], *, telemetry: Telemetry, health: Health
) -> dict[str, KeptOpen[Opened]]:
    """What is to be kept open over each database that this process serves, by the database's name. `health` and the
    metrics are told of those that cannot be opened."""

    def failed(name: str, reason: str) -> None:
        health.database_lost(name, reason)
        telemetry.metrics.database_up(name, up=False)

    return {
        name: KeptOpen(name, partial(_once_fitting, name, urls, open_), failed=partial(failed, name))
        for name, urls in served(settings).items()
    }


@asynccontextmanager
async def _once_fitting(name: str, urls: DatabaseUrls, open_: OpenOver[Opened]) -> AsyncIterator[Opened]:
    with of_one(name):
        await schema.check(urls.direct)
    async with open_(urls, name=name) as opened:
        yield opened
