"""The engine's loop: take what is due, carry it, never more than so many at once, and leave in good order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import structlog

from service.application.ports.queue import DeliveryQueue
from service.delivery.allowances import Allowances
from service.domain import retries
from service.domain.deliveries import Claim
from service.domain.errors import Unavailable
from service.domain.outcomes import Outcome

LARGEST_CLAIM = 64  # what is claimed together starts together, and whoever comes meanwhile waits for that
SMALLEST_CLAIM = 16
GATHERING = 0.01  # seconds that room for few waits for room for more
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
LAST_CLAIM = timedelta(seconds=2)
LAST_WORD = 3.0

_log = structlog.stdlib.get_logger("relevo.engine")

Carry = Callable[[Claim], Coroutine[Any, Any, Outcome | None]]


class Engine:
    """Carries deliveries by `carry`: at most `capacity` at once, never over `per_endpoint` of them for one endpoint.

    Whoever runs several engines shares the work through the queue's leases; no engine knows of another.
    """

    def __init__(
        self, *, queue: DeliveryQueue, carry: Carry, capacity: int, per_endpoint: int, drain: timedelta
    ) -> None:
        self._queue = queue
        self._carry = carry
        self._capacity = capacity
        self._allowances = Allowances(most=per_endpoint, capacity=capacity)
        self._drain = drain
        self._carrying: dict[asyncio.Task[Outcome | None], Claim] = {}
        self._room = asyncio.Event()
        self._relieved = asyncio.Event()
        self._draining = asyncio.Event()

    @property
    def inflight(self) -> int:
        """Attempts being made now."""
        return len(self._carrying)

    @property
    def capacity(self) -> int:
        """Attempts that may be made at once."""
        return self._capacity

    @property
    def narrowed(self) -> int:
        """Endpoints that get one attempt at a time because they show strain."""
        return self._allowances.narrowed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Deliver while the block lasts; then stop claiming, finish what is in flight, give the rest back."""
        loop = asyncio.create_task(self._run(), name="delivery engine")
        try:
            yield loop
        finally:
            self._draining.set()
            await until_done(loop, within=LAST_CLAIM)
            await self._finish()

    async def _run(self) -> None:
        pauses = retries.pauses(FIRST_PAUSE, longest=LONGEST_PAUSE)
        while not self._draining.is_set():
            try:
                await self._turn()
                pauses = retries.pauses(FIRST_PAUSE, longest=LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - whatever it is, deliveries are owed and the next turn may do
                pause = next(pauses)
                tell = _log.warning if isinstance(error, Unavailable) else _log.exception
                tell("claim.failed", reason=type(error.__cause__ or error).__name__, seconds=pause)
                await first_of(self._draining.wait(), asyncio.sleep(pause))

    async def _turn(self) -> None:
        await self._until_there_is_room()
        if self._draining.is_set():
            return
        self._relieved.clear()
        # A quarter of the places at once: what is claimed together is claimed before anybody knows who answers.
        limit = min(self._free, LARGEST_CLAIM, max(1, self._capacity // 4))
        claims = await self._queue.claim(
            limit=limit, per_endpoint=self._allowances.default, rooms=dict(self._allowances.rooms())
        )
        for claim in claims:
            self._start(claim)
        if not claims:
            await first_of(self._queue.wait(), self._relief(), self._draining.wait())

    async def _relief(self) -> None:
        """Until an endpoint that was full has room, and a moment more: others will, and one claim serves them all."""
        await self._relieved.wait()
        await asyncio.sleep(GATHERING)

    async def _until_there_is_room(self) -> None:
        """For a claim that is worth its while, or for any after a moment: whoever has the rest may be silent."""
        await self._until_free(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHERING):
                await self._until_free(min(SMALLEST_CLAIM, self._capacity // 4))

    async def _until_free(self, places: int) -> None:
        while self._free < places and not self._draining.is_set():
            self._room.clear()
            await first_of(self._room.wait(), self._draining.wait())

    @property
    def _free(self) -> int:
        return self._capacity - len(self._carrying)

    def _start(self, claim: Claim) -> None:
        self._allowances.take(claim.endpoint_id)
        task = asyncio.create_task(self._carry(claim))
        self._carrying[task] = claim
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Outcome | None]) -> None:
        claim = self._carrying.pop(task)
        error = None if task.cancelled() else task.exception()
        outcome = None if task.cancelled() or error else task.result()
        if self._allowances.give_back(claim.endpoint_id, outcome):
            self._relieved.set()
        self._room.set()
        if error:
            _log.error("delivery.failed", exc_info=error, message_id=claim.message_id, endpoint_id=claim.endpoint_id)

    async def _finish(self) -> None:
        if not self._carrying:
            return
        _log.info("engine.draining", inflight=len(self._carrying))
        _, late = await asyncio.wait(list(self._carrying), timeout=self._drain.total_seconds())
        unfinished = [self._carrying[task] for task in late if task in self._carrying]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_WORD):
                await self._queue.release(unfinished)
        except (Unavailable, TimeoutError):
            _log.warning("leases.kept", count=len(unfinished), hint="they are due again when their leases end")


async def first_of(*awaitables: Awaitable[object]) -> None:
    """Wait for whichever comes first, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def until_done(loop: asyncio.Task[None], *, within: timedelta) -> None:
    """Wait for the end of a loop that was told to leave; one that hangs is ended."""
    await asyncio.wait({loop}, timeout=within.total_seconds())
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
