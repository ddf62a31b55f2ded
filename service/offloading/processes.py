"""Work that needs a processor for long leaves the event loop and the interpreter: in processes, each with a deadline.

A process can be ended while it computes, a thread cannot. So what strangers may make slow, such as matching their
patterns, is done here.
"""

import asyncio
import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import structlog

from service.domain.errors import Busy
from service.observability.metrics import Metrics
from service.offloading.threads import leave_the_loop
from service.offloading.turns import MOST_WAITING, Turns

T = TypeVar("T")

NAME = "processes"
MOST_MEMORY = 1024**3
START_WITHIN = 60.0  # seconds

_log = structlog.stdlib.get_logger("relevo.processes")


class Processes:
    """At most `workers` processes, started when they are needed; `seconds` is what each piece of work may take.

    A piece has a process to itself, so that the one that takes too long can be ended and nobody else's. Whoever would
    be one more than `most_waiting` in line, or waits for twice the time of a piece, is told Busy.
    """

    def __init__(
        self, *, workers: int, seconds: float, most_waiting: int = MOST_WAITING, metrics: Metrics | None = None
    ) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._turns = Turns(workers, most_waiting=most_waiting)
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: set[ProcessPoolExecutor] = set()
        if metrics is not None:
            metrics.observe_pool(NAME, size=lambda: workers, checked_out=lambda: len(self._busy))

    async def run(self, work: Callable[..., T], *arguments: Any, tenant: str | None = None) -> T:
        """What `work`, a function of a module, makes of the arguments. TimeoutError when it takes too long; Busy.

        It waits for its turn among the tenants, whatever one of them has in line.

        The lines that tell of begin and end carry the ids of the request; the work itself writes none.
        """
        asked = time.perf_counter()
        await self._until_free(tenant)
        try:
            return await self._told(work, arguments, asked)
        finally:
            self._turns.leave(tenant)

    def close(self) -> None:
        """End the processes, whatever they do."""
        for process in (*self._idle, *self._busy):
            _end(process)

    async def _until_free(self, tenant: str | None) -> None:
        try:
            async with asyncio.timeout(self._seconds * 2):
                await self._turns.enter(tenant)
        except TimeoutError:
            raise Busy from None

    async def _told(self, work: Callable[..., T], arguments: tuple[Any, ...], asked: float) -> T:
        name, began = work.__name__, time.perf_counter()
        _log.debug("process.began", work=name)
        try:
            return await self._done(work, arguments)
        except (TimeoutError, BrokenProcessPool) as error:
            _log.warning("process.ended", work=name, reason=type(error).__name__)
            raise TimeoutError(f"{name} took too long") from error
        finally:
            seconds = time.perf_counter() - began
            _log.debug("process.finished", work=name, duration_ms=round(seconds * 1000, 2))
            if self._metrics is not None:
                self._metrics.pool_waited(NAME, began - asked)
                self._metrics.work_left_the_loop(NAME, seconds)

    async def _done(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        process = self._idle.pop() if self._idle else _started()
        self._busy.add(process)
        try:
            # To start takes longer than most of the work, and none of its time.
            async with asyncio.timeout(START_WITHIN):
                await leave_the_loop(process, _is_there, work)
            async with asyncio.timeout(self._seconds):
                return await leave_the_loop(process, work, *arguments)
        except (TimeoutError, BrokenProcessPool, asyncio.CancelledError):
            # It may still compute, for nobody.
            self._busy.remove(process)
            _end(process)
            raise
        finally:
            if process in self._busy:
                self._busy.remove(process)
                self._idle.append(process)


def _started() -> ProcessPoolExecutor:
    # A fork would copy the loop, the connections and the locks of running threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_keep_within_bounds)


def _end(executor: ProcessPoolExecutor) -> None:
    for process in list((executor._processes or {}).values()):  # noqa: SLF001 - only a signal ends a computation
        process.kill()
    executor.shutdown(wait=False, cancel_futures=True)


def _is_there(_work: Callable[..., object]) -> None:
    """What a piece of work waits for: that the process runs, and has the work's module."""


def _keep_within_bounds() -> None:
    # Whoever wants more is refused as it is for its time, and takes nobody else's memory.
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
