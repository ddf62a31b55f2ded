"""Readings of claimed destinations: what all have in common, and one that sends a batch after the other."""

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta

import structlog

from service.application.ports.machine import Clock
from service.application.ports.ordered import Done, OrderedClaim, OrderedQueue
from service.application.turns import first_of
from service.delivery.batches import Batches
from service.delivery.passages import ReadAhead
from service.delivery.progress import DestinationProgress
from service.domain import retries
from service.domain.batches import StreamMessage
from service.domain.errors import Unavailable
from service.domain.ordered import Setback, Standing

MIN_BACKOFF_S, MAX_BACKOFF_S = 0.1, 2.0
LOOK_INTERVAL_S = 1.0  # between looks for more messages, while a batch waits for them
RENEWALS = 3  # of a lease, in the time that it lasts
MAX_BATCH_BYTES = 4 * 1024 * 1024  # of payloads

_log = structlog.stdlib.get_logger("relevo.ordered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all readings of a process share. A reading lasts a `turn` if others wait for its place."""

    queue: OrderedQueue
    batches: Batches
    clock: Clock
    draining: asyncio.Event
    lease: timedelta
    turn: timedelta


class OrderedReading(ABC):
    """One claimed destination, until it is not behind any more, fails, or has had its turn."""

    def __init__(self, claim: OrderedClaim, around: Surroundings) -> None:
        self._claim = claim
        self._destination = claim.destination
        self._queue = around.queue
        self._batches = around.batches
        self._clock = around.clock
        self._draining = around.draining
        self._lease_s = around.lease.total_seconds()
        self._ends_at = time.monotonic() + around.turn.total_seconds()
        self._progress = DestinationProgress(around.queue, claim)
        self._messages = ReadAhead(
            lambda after: around.queue.read(claim, after=after),
            after=claim.destination.position,
            passed=lambda count: around.batches.passed(claim, count),
        )

    async def run(self) -> None:
        """Read and send; in the end the lease is given back, unless it was lost."""
        try:
            await self._conclude(await self._sent())
        except Exception:  # noqa: BLE001 - it is claimed again after its lease, and others must go on
            _log.exception("destination.failed", destination_id=self._destination.id)
        finally:
            await self._messages.close()
            await self._progress.close()

    async def give_back(self) -> None:
        """Give the lease back after `run` was cancelled; what was in flight is sent again."""
        try:
            await self._queue.release(self._claim, self._progress.done)
        except Unavailable as error:
            self._tell("destination.not_released", error)

    async def _sent(self) -> Setback | None:
        """Send all that there is; the setback, if that is what ended it."""
        try:
            setback = await self._send_all()
            await self._progress.written()
        except Unavailable as error:
            self._tell("destination.postponed", error)
            return None
        return setback

    def _tell(self, event: str, error: Unavailable) -> None:
        _log.warning(event, destination_id=self._destination.id, reason=type(error.__cause__).__name__)

    @abstractmethod
    async def _send_all(self) -> Setback | None:
        """Send until the destination is not behind any more or the reading is over; the setback that ends it before."""

    def _is_over(self) -> bool:
        return self._is_cut_off or time.monotonic() >= self._ends_at

    @property
    def _is_cut_off(self) -> bool:
        return self._progress.lost or self._draining.is_set()

    def _first_standing(self) -> Standing:
        return Standing(attempts=self._destination.attempts, first_failed_at=self._destination.first_failed_at)

    async def _conclude(self, setback: Setback | None) -> None:
        """Give the lease back, retrying for as long as it lasts."""
        give_up_at = time.monotonic() + self._lease_s
        pauses = retries.pauses(MIN_BACKOFF_S, longest=MAX_BACKOFF_S)
        while True:
            try:
                return await self._try_to_conclude(setback)
            except Unavailable as error:
                if time.monotonic() >= give_up_at:
                    return self._tell("destination.not_released", error)
            await asyncio.sleep(next(pauses))

    async def _try_to_conclude(self, setback: Setback | None) -> None:
        await self._progress.close()
        if setback is None:
            await self._queue.release(self._claim, self._progress.done)
        else:
            await self._queue.fail(self._claim, self._progress.done, setback)


class SerialReading(OrderedReading):
    """One batch in flight."""

    async def _send_all(self) -> Setback | None:
        standing = self._first_standing()
        while not self._is_over() and (messages := await self._next_batch()):
            taken, setback = await self._batches.send(self._claim, messages, standing)
            if taken:
                standing = Standing()
                await self._progress.advance(Done(position=self._position_after(messages, taken)))
            if setback is not None:
                return setback
        return None

    def _position_after(self, messages: list[StreamMessage], taken: int) -> int:
        """The position up to which everything is done: of the last message, or of the next that is wanted."""
        return self._messages.through if taken == len(messages) else messages[taken].position - 1

    async def _next_batch(self) -> list[StreamMessage]:
        size = self._destination.batch_size
        messages = await self._messages.take(size, payload_bytes=MAX_BATCH_BYTES)
        if messages and len(messages) < size and self._destination.max_wait_secs:
            messages = await self._completed(messages)
        if not messages:
            self._progress.done = Done(position=max(self._messages.through, self._progress.done.position))
        return messages

    async def _completed(self, messages: list[StreamMessage]) -> list[StreamMessage]:
        """The batch once it has its size, or its first message has waited as long as it may; nothing if the reader
        ends before."""
        until = messages[0].created_at + timedelta(seconds=self._destination.max_wait_secs)
        renewed = time.monotonic()
        missing, room = self._destination.batch_size - len(messages), MAX_BATCH_BYTES - _size(messages)
        while missing > 0 and (left := (until - self._clock.now()).total_seconds()) > 0:
            await first_of(self._draining.wait(), asyncio.sleep(min(left, LOOK_INTERVAL_S)))
            if time.monotonic() - renewed > self._lease_s / RENEWALS:
                await self._progress.renew()
                renewed = time.monotonic()
            if self._draining.is_set() or self._progress.lost:
                self._messages.put_back(messages)
                return []
            more = await self._messages.take(missing, payload_bytes=room)
            messages += more
            missing, room = missing - len(more), room - _size(more)
        return messages


def _size(messages: list[StreamMessage]) -> int:
    return sum(len(message.payload) for message in messages)
