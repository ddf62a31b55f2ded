"""Runs CPU-bound work in a bounded pool of processes, each piece with a timeout.

A process can be killed while it computes; a thread cannot. So work that callers can make slow, such as matching their
regular expressions, runs here.
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
from service.offloading.turns import MAX_QUEUED_CALLS, Turns

T = TypeVar("T")

POOL = "processes"
MAX_MEMORY_BYTES = 1024**3
START_TIMEOUT_S = 60.0  # seconds

_log = structlog.stdlib.get_logger("relevo.processes")


class Processes:
    """A pool of at most `workers` processes, started on demand. A piece of work may take `seconds`.

    A process runs one piece at a time, so that killing it ends no other work. A call raises Busy if `most_waiting`
    calls are queued already, or if it waits longer than twice `seconds`.
    """

    def __init__(
        self, *, workers: int, seconds: float, most_waiting: int = MAX_QUEUED_CALLS, metrics: Metrics | None = None
    ) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._turns = Turns(workers, most_waiting=most_waiting)
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: set[ProcessPoolExecutor] = set()
        if metrics is not None:
            metrics.observe_pool(POOL, size=lambda: workers, checked_out=lambda: len(self._busy))

    async def run(self, work: Callable[..., T], *arguments: Any, tenant: str | None = None) -> T:
        """Run `work`, a function of a module, and return its result. Raises TimeoutError when it takes too long; Busy.

        Queued calls are served round-robin by tenant. The log lines of start and end carry the request's ids; the work
        itself logs nothing.
        """
        asked = time.perf_counter()
        await self._until_free(tenant)
        try:
            return await self._told(work, arguments, asked)
        finally:
            self._turns.leave(tenant)

    def close(self) -> None:
        """Kill all processes."""
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
                self._metrics.pool_waited(POOL, began - asked)
                self._metrics.work_left_the_loop(POOL, seconds)

    async def _done(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        process = self._idle.pop() if self._idle else _started()
        self._busy.add(process)
        try:
            # Starting a process takes longer than most work and does not count as its time.
            async with asyncio.timeout(START_TIMEOUT_S):
                await leave_the_loop(process, _is_there, work)
            async with asyncio.timeout(self._seconds):
                return await leave_the_loop(process, work, *arguments)
        except (TimeoutError, BrokenProcessPool, asyncio.CancelledError):
            # The process may still be computing, and nobody waits for the result.
            self._busy.remove(process)
            _end(process)
            raise
        finally:
            if process in self._busy:
                self._busy.remove(process)
                self._idle.append(process)


def _started() -> ProcessPoolExecutor:
    # Not fork: that would copy the event loop, the connections and the locks of running threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_keep_within_bounds)


def _end(executor: ProcessPoolExecutor) -> None:
    for process in list((executor._processes or {}).values()):  # noqa: SLF001 - no public method kills a process that computes
        process.kill()
    executor.shutdown(wait=False, cancel_futures=True)


def _is_there(_work: Callable[..., object]) -> None:
    """Does nothing: its return shows that the process has started and imported the work's module."""


def _keep_within_bounds() -> None:
    # Work that needs more memory fails like work that needs more time.
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
