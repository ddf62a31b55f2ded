"""Attempts for those who follow live: each is read once for all of them, by few at a time."""

from asyncio import Semaphore
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from service.application.ports.unit_of_work import UnitOfWork
from service.domain.deliveries import Attempt
from service.domain.ids import ApplicationId, AttemptId

AT_ONCE = 2  # of the sessions that every request shares
REMEMBERED = 500


class AttemptReader:
    """What is told of an attempt does not change, so whoever hears of it later than others is given the same."""

    def __init__(self, begin: Callable[[], AbstractAsyncContextManager[UnitOfWork]]) -> None:
        self._begin = begin
        self._turns = Semaphore(AT_ONCE)
        self._read: OrderedDict[tuple[ApplicationId, AttemptId], Attempt] = OrderedDict()

    async def attempts(self, app_id: ApplicationId, attempt_ids: Sequence[AttemptId]) -> Sequence[Attempt]:
        """Those that there are, by id. No session is held before or after."""
        known = self._known(app_id, attempt_ids)
        if len(known) < len(attempt_ids):
            async with self._turns:
                # Those who went before may have read the same.
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
        while len(self._read) > REMEMBERED:
            self._read.popitem(last=False)
        return found
