"""The engine's loop: claim due deliveries, attempt them with bounded concurrency, and drain at shutdown."""

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

MAX_CLAIM_ROWS = 64  # deliveries of one claim start together, and later ones wait for that
MIN_CLAIM_ROWS = 16
CLAIM_DELAY_S = 0.01  # how long a claim waits for MIN_CLAIM_ROWS free places
MIN_BACKOFF_S = 0.25
MAX_BACKOFF_S = 5.0
STOP_TIMEOUT = timedelta(seconds=2)
RELEASE_TIMEOUT_S = 3.0

_log = structlog.stdlib.get_logger("relevo.engine")

Carry = Callable[[Claim], Coroutine[Any, Any, Outcome | None]]


class Engine:
    """Attempts deliveries by `carry`: at most `capacity` at once, and at most `per_endpoint` to one endpoint.

    Any number of engines share the work through the queue's leases and do not know of each other.
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
        """How many attempts are running."""
        return len(self._carrying)

    @property
    def capacity(self) -> int:
        """How many attempts may run at once."""
        return self._capacity

    @property
    def narrowed(self) -> int:
        """How many endpoints are limited to one attempt at a time."""
        return self._allowances.narrowed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Deliver while the block lasts; then stop claiming, let attempts finish, and release unfinished leases."""
        loop = asyncio.create_task(self._run(), name="delivery engine")
        try:
            yield loop
        finally:
            self._draining.set()
            await until_done(loop, within=STOP_TIMEOUT)
            await self._finish()

    async def _run(self) -> None:
        pauses = retries.pauses(MIN_BACKOFF_S, longest=MAX_BACKOFF_S)
        while not self._draining.is_set():
            try:
                await self._turn()
                pauses = retries.pauses(MIN_BACKOFF_S, longest=MAX_BACKOFF_S)
            except Exception as error:  # noqa: BLE001 - whatever the error, the next turn may succeed
                pause = next(pauses)
                tell = _log.warning if isinstance(error, Unavailable) else _log.exception
                tell("claim.failed", reason=type(error.__cause__ or error).__name__, seconds=pause)
                await first_of(self._draining.wait(), asyncio.sleep(pause))

    async def _turn(self) -> None:
        await self._until_there_is_room()
        if self._draining.is_set():
            return
        self._relieved.clear()
        # At most a quarter of the places, since none of these endpoints has shown yet whether it answers.
        limit = min(self._free, MAX_CLAIM_ROWS, max(1, self._capacity // 4))
        claims = await self._queue.claim(
            limit=limit, per_endpoint=self._allowances.default, rooms=dict(self._allowances.rooms())
        )
        for claim in claims:
            self._start(claim)
        if not claims:
            await first_of(self._queue.wait(), self._wait_for_free_place(), self._draining.wait())

    async def _wait_for_free_place(self) -> None:
        """Wait until a saturated endpoint has a free place, and 10 ms more, so that one claim serves several
        endpoints."""
        await self._relieved.wait()
        await asyncio.sleep(CLAIM_DELAY_S)

    async def _until_there_is_room(self) -> None:
        """Wait for one free place, then up to 10 ms for a worthwhile number: the other places may be held by silent
        endpoints."""
        await self._until_free(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLAIM_DELAY_S):
                await self._until_free(min(MIN_CLAIM_ROWS, self._capacity // 4))

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
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await self._queue.release(unfinished)
        except (Unavailable, TimeoutError):
            _log.warning(
                "leases.kept", count=len(unfinished), hint="the deliveries are due again when their leases end"
            )


async def first_of(*awaitables: Awaitable[object]) -> None:
    """Wait for the first of these to finish, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def until_done(loop: asyncio.Task[None], *, within: timedelta) -> None:
    """Wait for the end of a loop that was asked to stop, and cancel it if it does not end in time."""
    await asyncio.wait({loop}, timeout=within.total_seconds())
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
