"""Live tails of an application's attempts: what follows what, for every way of telling it; and the reading of attempts,
each once for all tails, with few sessions at a time."""

import asyncio
from asyncio import Semaphore
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass

from service.application.ports.attempt_news import AttemptNews, Missed
from service.application.ports.unit_of_work import UnitOfWork
from service.domain.deliveries import Attempt, Status
from service.domain.ids import ApplicationId, AttemptId

CONCURRENT_READS = 2  # sessions of the pool that all requests share
CACHED_ATTEMPTS = 500
HEARTBEAT_INTERVAL_S = 15.0

MayListen = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TailFilter:
    """Which attempts a tail tells of; None stands for all."""

    event_types: tuple[str, ...] | None = None
    status: Status | None = None

    def wants(self, attempt: Attempt) -> bool:
        """Whether to tell of this attempt."""
        of_type = self.event_types is None or attempt.event_type in self.event_types
        return of_type and self.status in {None, attempt.status}


@dataclass(frozen=True, slots=True)
class TailBegun:
    """From now on nothing is missed without a word."""


@dataclass(frozen=True, slots=True)
class TailQuiet:
    """There was nothing to tell of for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailEnded:
    """The last word: either the listener may listen no longer, or this process leaves."""

    forbidden: bool


Told = TailBegun | Attempt | Missed | TailQuiet | TailEnded


async def tail(
    app_id: ApplicationId,
    news: AttemptNews,
    reader: "AttemptReader",
    *,
    may_listen: MayListen,
    wanted: TailFilter,
    heartbeat: float = HEARTBEAT_INTERVAL_S,
) -> AsyncGenerator[Told, None]:
    """Follow an application's attempts, whichever process makes them. Raises Unavailable while nobody tells of them.

    While the consumer is busy, the latest news wait; those that had to be dropped are told of as missed.
    """
    async with news.follow(app_id) as follower:
        yield TailBegun()
        while True:
            heard: Sequence[AttemptId] | Missed | None = ()
            with suppress(TimeoutError):
                async with asyncio.timeout(heartbeat):
                    heard = await follower.next()
            if heard is None or not await may_listen():
                yield TailEnded(forbidden=heard is not None)
                return
            if isinstance(heard, Missed):
                yield heard
                continue
            attempts = [attempt for attempt in await reader.attempts(app_id, heard) if wanted.wants(attempt)]
            if not attempts:
                yield TailQuiet()
            for attempt in attempts:
                yield attempt


class AttemptReader:
    """Reads attempts and caches them, since a stored attempt does not change."""

    def __init__(self, begin: Callable[[], AbstractAsyncContextManager[UnitOfWork]]) -> None:
        self._begin = begin
        self._turns = Semaphore(CONCURRENT_READS)
        self._read: OrderedDict[tuple[ApplicationId, AttemptId], Attempt] = OrderedDict()

    async def attempts(self, app_id: ApplicationId, attempt_ids: Sequence[AttemptId]) -> Sequence[Attempt]:
        """The attempts with these ids that exist, by id. A session is held only during the read."""
        known = self._known(app_id, attempt_ids)
        if len(known) < len(attempt_ids):
            async with self._turns:
                # Another stream may have read them while this one waited.
                known = self._known(app_id, attempt_ids)
                missing = [attempt_id for attempt_id in attempt_ids if attempt_id not in known]
                if missing:
                    known |= await self._look_up(app_id, missing)
        return [known[attempt_id] for attempt_id in sorted(known)]

    def _known(self, app_id: ApplicationId, attempt_ids: Sequence[AttemptId]) -> dict[AttemptId, Attempt]:
        read = ((attempt_id, self._read.get((app_id, attempt_id))) for attempt_id in attempt_ids)
        return {attempt_id: attempt for attempt_id, attempt in read if attempt is not None}

    async def _look_up(self, app_id: ApplicationId, attempt_ids: Sequence[AttemptId]) -> dict[AttemptId, Attempt]:
        async with self._begin() as work:
            found = {attempt.id: attempt for attempt in await work.deliveries.attempts(app_id, attempt_ids)}
        for attempt_id, attempt in found.items():
            self._read[app_id, attempt_id] = attempt
        while len(self._read) > CACHED_ATTEMPTS:
            self._read.popitem(last=False)
        return found
