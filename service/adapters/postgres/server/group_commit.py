"""Group commit: many callers share one transaction. What arrives while a batch is committing is the next batch.

So no caller waits for others to arrive, unless the group lingers: then a batch waits that long for more, since a
transaction for each costs more than the wait. A bad row fails its own caller only: a batch that the database refuses is
repeated row by row. A batch that lost a deadlock is repeated as it is.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import asyncpg

from service.domain.errors import Busy, Unavailable

MAX_DEADLOCKS = 3  # in a row; then the batch is repeated row by row
ENOUGH_TO_COMMIT = 32  # items for which a group that lingers waits no longer
ENOUGH_FOR_ANOTHER = 16  # items for which a batch does not wait until the one before is committed
DRAIN_TIMEOUT_S = 3.0  # for what still waits at the end; a healthy database takes milliseconds

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    result: asyncio.Future[Result]


class GroupCommit(Generic[Item, Result]):
    """Coalesces concurrent calls of `submit` into calls of `commit`, at most `at_once` at a time.

    `commit` takes the items of a batch and returns their results in order, all in one transaction. While one runs,
    another begins as soon as ENOUGH_FOR_ANOTHER items wait.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        largest_batch: int,
        most_waiting: int,
        at_once: int = 1,
        linger: float = 0.0,
        farewell: float = DRAIN_TIMEOUT_S,
    ) -> None:
        self._commit = commit
        self._largest_batch = largest_batch
        self._most_waiting = most_waiting
        self._at_once = at_once
        self._running = 0
        self._farewell = farewell
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._linger = linger
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._closed = False

    @property
    def fullness(self) -> float:
        """How full the queue is, from 0 to 1; at 1 the next caller raises Busy."""
        return len(self._waiting) / self._most_waiting

    async def submit(self, item: Item) -> Result:
        """The item's result, once its batch is committed. Raises Busy when too many callers wait, Unavailable."""
        if self._closed:
            raise Unavailable
        if len(self._waiting) >= self._most_waiting:
            raise Busy
        waiting: _Waiting[Item, Result] = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        if len(self._waiting) >= ENOUGH_TO_COMMIT:
            self._enough.set()
        return await waiting.result

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commit while the block lasts. What was submitted before its end is still committed, within the drain
        timeout."""
        committers = [asyncio.create_task(self._run(), name=f"group commit {nth}") for nth in range(self._at_once)]
        try:
            yield
        finally:
            self._closed = True
            self._arrived.set()
            self._enough.set()
            await asyncio.wait(committers, timeout=self._farewell)
            for committer in committers:
                committer.cancel()
            await asyncio.gather(*committers, return_exceptions=True)
            _fail(self._waiting, Unavailable())

    async def _run(self) -> None:
        while await self._wait_for_items():
            self._running += 1
            try:
                await self._settle(self._next_batch())
            finally:
                self._running -= 1

    async def _wait_for_items(self) -> bool:
        while len(self._waiting) < (ENOUGH_FOR_ANOTHER if self._running else 1) and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        if self._linger and not self._closed and len(self._waiting) < ENOUGH_TO_COMMIT:
            self._enough.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._linger):
                    await self._enough.wait()
        return bool(self._waiting)

    def _next_batch(self) -> list[_Waiting[Item, Result]]:
        size = min(len(self._waiting), self._largest_batch)
        return [self._waiting.popleft() for _ in range(size)]

    async def _settle(self, batch: list[_Waiting[Item, Result]]) -> None:
        try:
            results = await self._committed([waiting.item for waiting in batch])
        except asyncio.CancelledError:
            _fail(batch, Unavailable())
            raise
        except Unavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the callers of this batch
            await self._settle_one_by_one(batch, error)
        else:
            for waiting, result in zip(batch, results, strict=True):
                if not waiting.result.done():
                    waiting.result.set_result(result)

    async def _committed(self, items: Sequence[Item]) -> Sequence[Result]:
        for _ in range(MAX_DEADLOCKS):
            with suppress(asyncpg.DeadlockDetectedError):
                return await self._commit(items)
        return await self._commit(items)

    async def _settle_one_by_one(self, batch: list[_Waiting[Item, Result]], error: Exception) -> None:
        if len(batch) == 1:
            _fail(batch, error)
            return
        for waiting in batch:
            await self._settle([waiting])


def _fail(batch: Iterable[_Waiting[Item, Result]], error: Exception) -> None:
    for waiting in batch:
        if not waiting.result.done():
            waiting.result.set_exception(error)
