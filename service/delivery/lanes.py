"""A reading whose messages go side by side by the value of a field: order is kept in each lane, and a lane that fails
holds only itself."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field, replace

from service.application.ports.ordered import Done, OrderedClaim
from service.delivery.readings import MAX_BATCH_BYTES, RENEWALS, OrderedReading, Surroundings
from service.domain.batches import StreamMessage, lane_of
from service.domain.ordered import Setback, Standing
from service.domain.sinks import key_of

WINDOW = 1_000  # messages beyond the position of which some are done and some are not
LOOK_AGAIN_S = 0.1
LANES = 16  # with a batch in flight at once


@dataclass(slots=True, kw_only=True)
class Lane:
    """The messages with one value of the field, in order. After a `setback` they are due at `due_at`, on the monotonic
    clock."""

    standing: Standing
    messages: deque[StreamMessage] = field(default_factory=deque)
    setback: Setback | None = None
    due_at: float = 0.0


class KeyedReading(OrderedReading):
    """Batches of several lanes in flight. The position is the last before which everything is done."""

    def __init__(self, claim: OrderedClaim, around: Surroundings) -> None:
        super().__init__(claim, around)
        self._key = key_of(claim.destination.sink) or ""
        self._lanes: dict[str, Lane] = {}
        self._sending: dict[asyncio.Task[Setback | None], str] = {}
        self._pending: dict[int, None] = {}  # read and not done, in order
        self._ahead = set(claim.ahead)
        self._renewed = time.monotonic()
        self._look_at = 0.0

    async def _send_all(self) -> Setback | None:
        try:
            while not self._is_over():
                await self._fill()
                self._start_lanes()
                if not self._pending:
                    break
                await self._wait()
                if (setback := await self._collect()) is not None:
                    return setback
            return await self._end_lanes()
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    def _is_over(self) -> bool:
        # A lane that waits for its retry would be tried at once by whoever claims the destination next.
        return super()._is_over() and (self._is_cut_off or not any(lane.setback for lane in self._lanes.values()))

    async def _fill(self) -> None:
        """Read into the lanes as much as the window has room for, if there is much, or if nothing was read for long."""
        room, now = WINDOW - len(self._pending) - len(self._ahead), time.monotonic()
        if room <= 0 or (now < self._look_at and (self._messages.ended or room < WINDOW // 2)):
            return
        self._look_at = now + LOOK_AGAIN_S
        for message in await self._messages.take(room, payload_bytes=MAX_BATCH_BYTES):
            if message.position in self._ahead:
                continue
            self._pending[message.position] = None
            name = lane_of(message.payload, self._key)
            lane = self._lanes.setdefault(name, Lane(standing=self._first_standing()))
            lane.messages.append(message)
        self._progress.done = self._done()

    def _start_lanes(self) -> None:
        busy, now = set(self._sending.values()), time.monotonic()
        for name, lane in self._lanes.items():
            if len(self._sending) >= LANES:
                return
            if name not in busy and lane.due_at <= now:
                self._sending[asyncio.create_task(self._send(lane), name="lane of a destination")] = name

    async def _send(self, lane: Lane) -> Setback | None:
        """Send one batch of the lane; returns a setback that ends all of the destination."""
        messages = [lane.messages[n] for n in range(min(len(lane.messages), self._destination.batch_size))]
        taken, setback = await self._batches.send(self._claim, messages, lane.standing)
        for message in messages[:taken]:
            lane.messages.popleft()
            del self._pending[message.position]
            self._ahead.add(message.position)
        lane.setback = setback
        lane.standing = Standing() if setback is None else setback.standing
        lane.due_at = 0.0 if setback is None else time.monotonic() + setback.delay.total_seconds()
        return setback if setback is not None and setback.disabled else None

    async def _wait(self) -> None:
        """Until a batch ends, a lane is due again, or it is time to look for more messages."""
        now = time.monotonic()
        retries = (lane.due_at - now for lane in self._lanes.values() if lane.due_at > now)
        drained = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait(
                {*self._sending, drained},
                timeout=min([*retries, LOOK_AGAIN_S]),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            drained.cancel()

    async def _collect(self) -> Setback | None:
        """Store what the batches that have ended did; returns a setback that ends all of the destination."""
        ended = [task for task in self._sending if task.done()]
        for task in ended:
            name = self._sending.pop(task)
            lane = self._lanes.pop(name)
            if lane.messages:
                self._lanes[name] = lane  # as the last, so that every lane has its turn
        if ended:
            self._renewed = time.monotonic()
            await self._progress.advance(self._done())
        elif time.monotonic() - self._renewed > self._lease_s / RENEWALS:
            self._renewed = time.monotonic()
            await self._progress.renew()
        return next((setback for task in ended if (setback := task.result()) is not None), None)

    async def _end_lanes(self) -> Setback | None:
        """Let the batches in flight end."""
        while self._sending and not self._progress.lost:
            await asyncio.wait(self._sending)
            if (setback := await self._collect()) is not None:
                return setback
        return None

    def _done(self) -> Done:
        """Everything before the first message that is not done, and what is done beyond it."""
        first = next(iter(self._pending), None)
        position = max(self._messages.through if first is None else first - 1, self._progress.done.position)
        self._ahead = {done for done in self._ahead if done > position}
        failing = [lane for lane in self._lanes.values() if lane.setback is not None]
        return Done(position=position, ahead=tuple(sorted(self._ahead)), setback=_soonest(failing))


def _soonest(failing: list[Lane]) -> Setback | None:
    """The setback of the lane that is due first, since the one that has failed longest."""
    if not failing:
        return None
    since = min((lane.standing for lane in failing), key=lambda standing: str(standing.first_failed_at))
    soonest = min(failing, key=lambda lane: lane.due_at)
    return soonest.setback and replace(soonest.setback, standing=since)
