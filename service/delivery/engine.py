"""The engine's loop: claim due deliveries, attempt them with bounded concurrency, and drain at shutdown.

An attempt has a place until its answer is judged; its settlement needs none. Claims bring a little more than there are
places, which is held until a place is free, so that no place waits for the database.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import structlog

from service.application.ports.queue import DeliveryQueue, Room
from service.application.turns import first_of, take_turns, until_done
from service.delivery.allowances import MAX_STOCK, Allowances, Held
from service.domain.deliveries import Claim
from service.domain.errors import Unavailable
from service.domain.ids import EndpointId
from service.domain.outcomes import Outcome

MAX_CLAIM_ROWS = 64  # deliveries of one claim start together, and later ones wait for that
MIN_CLAIM_ROWS = 16
CLAIM_DELAY_S = 0.01  # how long a claim waits for MIN_CLAIM_ROWS free places, and after the claim before
BUSY_CLAIM_DELAY_S = 0.03  # after the claim before, while MIN_CLAIM_ROWS attempts are made or wait for a place
MAX_BURST = 32  # deliveries that are leased at their accept though they have to wait for a place
MIN_UNSETTLED = 64  # fewer would wait for each commit
STOP_TIMEOUT = timedelta(seconds=2)
RELEASE_TIMEOUT_S = 3.0

_log = structlog.stdlib.get_logger("relevo.engine")

Judged = Callable[[Outcome | None], None]
Carry = Callable[[Claim, Judged], Coroutine[Any, Any, None]]


class Engine:
    """Attempts deliveries by `carry`: at most `capacity` at once, and at most `per_endpoint` to one endpoint.

    `carry` attempts a claim, calls `judged` with the outcome, and settles. As many attempts as `capacity`, or
    MIN_UNSETTLED, may wait for their settlement. A claim is held for `hold` at most, and then released.

    Any number of engines share the work through the queue's leases and do not know of each other.
    """

    def __init__(
        self,
        *,
        queue: DeliveryQueue,
        carry: Carry,
        capacity: int,
        per_endpoint: int,
        drain: timedelta,
        hold: timedelta,
    ) -> None:
        self._queue = queue
        self._carry = carry
        self._capacity = capacity
        self._unsettled = max(capacity, MIN_UNSETTLED)
        self._allowances = Allowances(most=per_endpoint, capacity=capacity)
        self._drain = drain
        self._hold = hold.total_seconds()
        self._carrying: dict[asyncio.Task[None], Claim] = {}
        self._held = Held()
        self._looking: asyncio.TimerHandle | None = None
        self._releasing: set[asyncio.Task[None]] = set()
        self._claimed_at = 0.0
        self._behind = True  # whether the last claim may have left deliveries that had room
        self._room = asyncio.Event()
        self._relieved = asyncio.Event()
        self._draining = asyncio.Event()

    @property
    def inflight(self) -> int:
        """How many attempts are running."""
        return self._allowances.taken

    @property
    def capacity(self) -> int:
        """How many attempts may run at once."""
        return self._capacity

    @property
    def narrowed(self) -> int:
        """How many endpoints are limited to one attempt at a time."""
        return self._allowances.narrowed

    def room(self) -> Room:
        """The room for deliveries that are leased when they are accepted: free places, and stocks for a burst. Whatever
        would have to wait longer is left to other processes. None while older deliveries wait to be claimed."""
        limit = 0 if self._behind or self._draining.is_set() else max(0, self._places)
        bursts = len(self._held) < MAX_BURST
        rooms = self._allowances.rooms(self._held) if bursts else self._allowances.free_places()
        return Room(limit=limit, per_endpoint=self._allowances.default, rooms=rooms if limit else {})

    def take_in(self, claims: Iterable[Claim]) -> None:
        """Start what has a place, and hold the rest."""
        for claim in claims:
            if claim.endpoint_id in self._held.counts or not self._has_place(claim.endpoint_id):
                self._hold_back(claim)
            else:
                self._start(claim)

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
        await take_turns(self._turn, draining=self._draining, log=_log, failure="claim.failed")

    async def _turn(self) -> None:
        await self._until_there_is_room()
        if self._draining.is_set():
            return
        limit, default, rooms = self._limit(), self._allowances.default, self._allowances.rooms(self._held)
        self._relieved.clear()
        self._claimed_at = time.monotonic()
        claims = await self._queue.claim(limit=limit, per_endpoint=default, rooms=rooms)
        self._behind = len(claims) >= limit
        self.take_in(claims)
        taken = Counter(claim.endpoint_id for claim in claims)
        rooms |= {endpoint: rooms.get(endpoint, default) - count for endpoint, count in taken.items()}
        self._allowances.note_crowded(endpoint for endpoint, room in rooms.items() if room <= 0)
        for endpoint in self._allowances.crowded:
            self._relieve(endpoint)
        if not self._behind:
            await first_of(self._queue.wait(), self._wait_for_relief(), self._draining.wait())
            await self._pause()

    @property
    def _places(self) -> int:
        """The places that one claim may fill: at most a quarter of all, since endpoints that have not shown yet whether
        they answer may take them."""
        return min(self._free, MAX_CLAIM_ROWS, max(1, self._capacity // 4))

    def _limit(self) -> int:
        """How many deliveries to claim: for places, and for what the stocks of busy endpoints lack."""
        places = self._places
        stocks = min(MAX_STOCK, self._capacity, self._allowances.stocks) - len(self._held)
        return places + max(0, min(stocks, MAX_CLAIM_ROWS - places))

    async def _wait_for_relief(self) -> None:
        """Wait until a crowded endpoint has room, and 10 ms more, so that one claim serves several endpoints."""
        await self._relieved.wait()
        await asyncio.sleep(CLAIM_DELAY_S)

    async def _pause(self) -> None:
        """Leave time between claims, and more while there is enough to do: few claims of many cost less than many of
        few. A crowded endpoint that has room again has waited enough."""
        has_enough = self._allowances.taken + len(self._held) >= MIN_CLAIM_ROWS
        left = self._claimed_at + (BUSY_CLAIM_DELAY_S if has_enough else CLAIM_DELAY_S) - time.monotonic()
        if left > 0 and not self._relieved.is_set():
            await first_of(self._draining.wait(), asyncio.sleep(left))

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
        """The free places. There are none while too many attempts wait for their settlement."""
        return min(self._capacity - self._allowances.taken, self._capacity + self._unsettled - len(self._carrying))

    def _has_place(self, endpoint: EndpointId) -> bool:
        return not self._draining.is_set() and self._free > 0 and self._allowances.free(endpoint) > 0

    def _start(self, claim: Claim) -> None:
        self._allowances.take(claim.endpoint_id)
        task = asyncio.create_task(self._attempt(claim))
        self._carrying[task] = claim
        task.add_done_callback(self._finished)

    async def _attempt(self, claim: Claim) -> None:
        left = False

        def judged(outcome: Outcome | None) -> None:
            nonlocal left
            if not left:
                left = True
                self._place_left(claim.endpoint_id, outcome)

        try:
            await self._carry(claim, judged)
        finally:
            judged(None)

    def _hold_back(self, claim: Claim) -> None:
        self._held.add(claim, now=time.monotonic())
        self._look_after_held()

    def _look_after_held(self) -> None:
        """One timer runs while anything is held, however often that begins anew."""
        if self._looking is None and self._held:
            self._looking = asyncio.get_running_loop().call_later(self._hold / 2, self._release_overdue)

    def _release_overdue(self) -> None:
        """Release what has waited too long. Its endpoint became slow, so less is claimed ahead for it."""
        self._looking = None
        overdue = self._held.take_since_before(time.monotonic() - self._hold / 2)
        for claim in overdue:
            self._allowances.note_latency(claim.endpoint_id, self._hold)
        if overdue:
            self._releasing.add(releasing := asyncio.create_task(self._release(overdue)))
            releasing.add_done_callback(self._releasing.discard)
        self._look_after_held()

    def _place_left(self, endpoint: EndpointId, outcome: Outcome | None) -> None:
        """Give the place to a held claim: of the same endpoint, or of all when none had a place before."""
        were_scarce = self._free <= 0 or self._allowances.places_are_scarce
        self._allowances.give_back(endpoint, outcome)
        self._start_held(self._held.endpoints if were_scarce else [endpoint])
        self._relieve(endpoint)
        if were_scarce and self._allowances.crowded and not self._allowances.places_are_scarce:
            self._relieved.set()
        self._room.set()

    def _start_held(self, endpoints: Iterable[EndpointId]) -> None:
        for endpoint in endpoints:
            while endpoint in self._held.counts and self._has_place(endpoint):
                self._start(self._held.take(endpoint))

    def _relieve(self, endpoint: EndpointId) -> None:
        """Let the loop claim for a crowded endpoint when it has a place, or half of its stock."""
        worthwhile = max(1, self._allowances.stock(endpoint) // 2)
        if endpoint in self._allowances.crowded and self._allowances.room(endpoint, self._held) >= worthwhile:
            self._relieved.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        had_no_place = self._free <= 0
        claim = self._carrying.pop(task)
        error = None if task.cancelled() else task.exception()
        if had_no_place:
            self._start_held(self._held.endpoints)
        self._room.set()
        if error:
            _log.error("delivery.failed", exc_info=error, message_id=claim.message_id, endpoint_id=claim.endpoint_id)

    async def _finish(self) -> None:
        if self._carrying or self._held:
            _log.info("engine.draining", inflight=len(self._carrying), held=len(self._held))
        await self._release(self._held.take_since_before(math.inf))
        if self._carrying:
            await asyncio.wait(list(self._carrying), timeout=self._drain.total_seconds())
        late = dict(self._carrying)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, *self._releasing, return_exceptions=True)
        await self._release(list(late.values()))

    async def _release(self, claims: Sequence[Claim]) -> None:
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await self._queue.release(claims)
        except (Unavailable, TimeoutError):
            _log.warning("leases.kept", count=len(claims), hint="the deliveries are due again when their leases end")
