"""Reads attempts for live streams: each attempt once for all streams, with few sessions at a time."""

from asyncio import Semaphore
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from service.application.ports.unit_of_work import UnitOfWork
from service.domain.deliveries import Attempt
from service.domain.ids import ApplicationId, AttemptId

CONCURRENT_READS = 2  # sessions of the pool that all requests share
CACHED_ATTEMPTS = 500


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
