"""Keeps a number of processes running: starts them, replaces those that end, rolls them, tells them to leave."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from service.application.turns import first_of, take_turns
from service.domain.retries import pauses
from service.observability.merging import Exposition, lasting, merged
from service.observability.metrics import Metrics
from service.supervision.child import Child

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0  # until one is started again
GOOD_LIFE_S = 60.0  # after so long the next pause is the first again
READY_INTERVAL_S = 0.1
LISTEN_INTERVAL_S = 10.0
SILENCE_S = 30.0  # without an answer that it is alive, one is killed
START_TIMEOUT_S = 120.0  # of a successor

SIGNALED = 128  # is less than the status of what a signal has ended

_log = structlog.stdlib.get_logger("relevo.supervision")


@dataclass(frozen=True, slots=True)
class _Life:
    """A child, and the task that watches it and returns its exit status."""

    child: Child
    task: "asyncio.Task[int]"


def _first_pauses() -> Iterator[float]:
    return pauses(FIRST_PAUSE_S, longest=LONGEST_PAUSE_S)


@dataclass(slots=True)
class _Slot:
    """A place for one process, who has it now, and the pauses between those who end in it."""

    number: int
    life: _Life | None = None
    pauses: Iterator[float] = field(default_factory=_first_pauses)


class Supervisor:
    """Keeps `count` processes, each made by `start` from its number. One that was told to leave has `patience` seconds,
    and is then killed; so is one that has not answered for `silence` seconds. `listen_interval`: seconds between looks
    at each."""

    def __init__(
        self,
        *,
        start: Callable[[int], Awaitable[Child]],
        count: int,
        patience: float,
        metrics: Metrics,
        silence: float = SILENCE_S,
        listen_interval: float = LISTEN_INTERVAL_S,
    ) -> None:
        self._start = start
        self._silence = silence
        self._listen_interval = listen_interval
        self._patience = patience
        self._metrics = metrics
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._lives: dict[Child, _Life] = {}
        self._started: set[int] = set()
        self._statuses: list[int] = []
        self._ended: Exposition = {}
        self._listening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._roll_asked = asyncio.Event()

    @property
    def alive(self) -> Sequence[Child]:
        """The processes that there are, those included that are leaving."""
        return list(self._lives)

    @property
    def started(self) -> bool:
        """Whether each has been ready once."""
        return len(self._started) == len(self._slots)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Tell all to leave, with that signal, and start no more."""
        self._stopping.set()
        for child in self._lives:
            child.tell(number)

    def roll(self) -> None:
        """Replace one after the other, each once its successor is ready."""
        self._roll_asked.set()

    async def run(self) -> int:
        """Keep them until `stop`; the worst exit status of those that were there last. If one ends before it was ever
        ready, at the first start, all are told to leave."""
        beside = [
            asyncio.create_task(self._keep_rolling(), name="rolling"),
            asyncio.create_task(self._kill_in_the_end(), name="end of patience"),
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for slot in self._slots:
                    group.create_task(self._keep(slot), name=f"place {slot.number}")
            # Besides those in a place there may be successors.
            self._statuses += await asyncio.gather(*(life.task for life in self._lives.values()))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        return max(self._statuses, default=0)

    async def exposition(self) -> Exposition:
        """The metrics of all processes that there ever were."""
        async with self._listening:  # or an older answer could come after a newer one
            await asyncio.gather(*(child.listen() for child in self.alive))
            return merged([self._ended, *(child.exposition for child in self.alive)])

    async def _keep(self, slot: _Slot) -> None:
        turn = partial(self._fill, slot)
        await take_turns(turn, draining=self._stopping, log=_log, failure="process.not_started")

    async def _fill(self, slot: _Slot) -> None:
        """Have a process in the place until it ends, and for a pause after that nobody. OSError if none can be
        started."""
        life = slot.life = slot.life or await self._begin(slot.number)
        began = time.monotonic()
        status = await asyncio.shield(life.task)
        if slot.life is not life:
            return  # it was rolled: its successor is there
        slot.life = None
        if self.stopping or slot.number not in self._started:
            self._statuses.append(status if self.stopping else max(status, 1))
            self.stop()
            return
        if time.monotonic() - began > GOOD_LIFE_S:
            slot.pauses = _first_pauses()
        await self._mourn(life.child, status, next(slot.pauses))

    async def _begin(self, number: int) -> _Life:
        child = await self._start(number)
        life = _Life(child, asyncio.create_task(self._live(child), name=f"process {number}"))
        self._lives[child] = life
        _log.info("process.started", number=number, pid=child.pid)
        if self.stopping:
            child.tell(signal.SIGTERM)
        return life

    async def _live(self, child: Child) -> int:
        watching = asyncio.create_task(self._watch(child), name=f"watch over process {child.number}")
        try:
            status = await child.ended()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        async with self._listening:
            self._ended = merged([self._ended, lasting(child.exposition)])
            del self._lives[child]
        return status

    async def _mourn(self, child: Child, status: int, pause: float) -> None:
        _log.error("process.ended", number=child.number, pid=child.pid, status=status, seconds=pause)
        self._metrics.process_ended("silent" if child.silent else "signal" if status > SIGNALED else "status")
        await first_of(self._stopping.wait(), asyncio.sleep(pause))

    async def _watch(self, child: Child) -> None:
        """Until it ends, which cancels this."""
        turn = partial(self._look_at, child)
        await take_turns(turn, draining=asyncio.Event(), log=_log, failure="process.not_watched")

    async def _look_at(self, child: Child) -> None:
        if not child.ready.is_set():
            await self._look_whether_ready(child)
            return
        await asyncio.sleep(self._listen_interval)
        async with self._listening:
            await child.listen()
        if await child.is_alive():
            child.heard_at = time.monotonic()
        elif time.monotonic() - child.heard_at > self._silence:
            _log.error("process.silent", number=child.number, pid=child.pid)
            child.silence()

    async def _look_whether_ready(self, child: Child) -> None:
        if not await child.is_ready():
            await asyncio.sleep(READY_INTERVAL_S)
            return
        self._started.add(child.number)
        _log.info("process.ready", number=child.number, pid=child.pid)

    async def _keep_rolling(self) -> None:
        await take_turns(self._roll_when_asked, draining=self._stopping, log=_log, failure="process.not_rolled")

    async def _roll_when_asked(self) -> None:
        await self._roll_asked.wait()
        self._roll_asked.clear()
        rolled = [await self._replaced(slot) for slot in self._slots if not self.stopping]
        (_log.info if all(rolled) else _log.error)("process.rolled", count=sum(rolled), of=len(self._slots))

    async def _replaced(self, slot: _Slot) -> bool:
        """Whether there is a new process in the place now; the one before has left."""
        before = slot.life
        if before is None:
            return True  # one is about to start
        successor = await self._begin(slot.number)
        ready = asyncio.create_task(successor.child.ready.wait())
        await asyncio.wait({ready, successor.task}, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if successor.task.done() or not successor.child.ready.is_set():
            await successor.child.leave(within=self._patience)
            return False
        if slot.life is not before:  # that one ended meanwhile, and was replaced
            await successor.child.leave(within=self._patience)
            return True
        slot.life = successor
        await before.child.leave(within=self._patience)
        return True

    async def _kill_in_the_end(self) -> None:
        await self._stopping.wait()
        await asyncio.sleep(self._patience)
        for child in self.alive:
            child.tell(signal.SIGKILL)
