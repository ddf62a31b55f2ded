"""Reads streams for ordered destinations: claims those that are behind, and sends each batch after batch, in order.

One reader at a time for a destination, by its lease; any number of processes share the destinations.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from service.application.ports.machine import Clock
from service.application.ports.ordered import OrderedClaim, OrderedQueue
from service.application.turns import first_of, take_turns, until_done
from service.delivery.batches import Batches
from service.delivery.lanes import KeyedReading
from service.delivery.readings import MAX_BACKOFF_S, OrderedReading, SerialReading, Surroundings
from service.domain.sinks import key_of

PLACES = 64  # destinations that a process reads at once
TURN = timedelta(seconds=5)  # then others that wait get the place

_log = structlog.stdlib.get_logger("relevo.ordered")


class OrderedReader:
    """Reads for up to `places` destinations at once. `drain` is how long batches in flight may take at the end, and
    `lease` how long a destination is claimed without progress."""

    def __init__(
        self,
        *,
        queue: OrderedQueue,
        batches: Batches,
        clock: Clock,
        lease: timedelta,
        drain: timedelta,
        places: int = PLACES,
        turn: timedelta = TURN,
    ) -> None:
        self._queue = queue
        self._drain = drain
        self._places = places
        self._draining = asyncio.Event()
        self._surroundings = Surroundings(
            queue=queue, batches=batches, clock=clock, draining=self._draining, lease=lease, turn=turn
        )
        self._freed = asyncio.Event()
        self._reading: dict[asyncio.Task[None], OrderedReading] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Read while the block lasts. At its end batches in flight have the drain's time; leases are given back."""
        loop = asyncio.create_task(self._run(), name="ordered destinations")
        try:
            yield loop
        finally:
            self._draining.set()
            await until_done(loop, within=timedelta(seconds=MAX_BACKOFF_S))
            await self._end_readings()

    async def _run(self) -> None:
        await take_turns(self._turn, draining=self._draining, log=_log, failure="destinations.postponed")

    async def _turn(self) -> None:
        self._freed.clear()
        room = self._places - len(self._reading)
        if room <= 0:
            await first_of(self._freed.wait(), self._draining.wait())
            return
        claims = await self._queue.claim(limit=room)
        for claim in claims:
            self._begin(claim)
        if len(claims) < room:
            await first_of(self._queue.wait(), self._draining.wait())

    def _begin(self, claim: OrderedClaim) -> None:
        made = KeyedReading if key_of(claim.destination.sink) is not None else SerialReading
        reading = made(claim, self._surroundings)
        task = asyncio.create_task(reading.run(), name="ordered destination")
        self._reading[task] = reading
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._reading[task]
        self._freed.set()

    async def _end_readings(self) -> None:
        readings = dict(self._reading)
        if readings:
            await asyncio.wait(readings, timeout=self._drain.total_seconds())
        cut = [reading for task, reading in readings.items() if not task.done()]
        for task in readings:
            task.cancel()
        await asyncio.gather(*readings, return_exceptions=True)
        for reading in cut:
            await reading.give_back()
