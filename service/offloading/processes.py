"""Runs CPU-bound work in a bounded pool of processes, each piece with a timeout.

A process can be killed while it computes; a thread cannot. So work that callers can make slow, such as matching their
regular expressions, runs here.
"""

import asyncio
import resource
import signal
import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from anyio import BrokenWorkerProcess, CapacityLimiter, to_process

from service.domain.errors import Busy
from service.observability.metrics import Metrics
from service.offloading.turns import MAX_QUEUED_CALLS, Turns

T = TypeVar("T")

POOL = "processes"
MAX_MEMORY_BYTES = 1024**3
# A busy machine gives a process part of a core. Work within its bounds is ended only where that is less than this.
LEAST_SHARE = 0.25

_log = structlog.stdlib.get_logger("relevo.processes")


class Processes:
    """A pool of at most `workers` processes, started on demand. A piece of work may take `seconds` of the processor,
    and four times as long by the clock.

    A process runs one piece at a time, so that killing it ends no other work. A call raises Busy if `most_waiting`
    calls are queued already, or if it waits longer than `busy_after`: by default twice `seconds`.
    """

    def __init__(
        self,
        *,
        workers: int,
        seconds: float,
        busy_after: float | None = None,
        most_waiting: int = MAX_QUEUED_CALLS,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._busy_after = seconds * 2 if busy_after is None else busy_after
        self._turns = Turns(workers, most_waiting=most_waiting)
        self._limiter = CapacityLimiter(workers)
        if metrics is not None:
            metrics.observe_pool(POOL, size=lambda: workers, checked_out=lambda: self._turns.taken)

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

    async def _until_free(self, tenant: str | None) -> None:
        try:
            async with asyncio.timeout(self._busy_after):
                await self._turns.enter(tenant)
        except TimeoutError:
            raise Busy from None

    async def _told(self, work: Callable[..., T], arguments: tuple[Any, ...], asked: float) -> T:
        name, began = work.__name__, time.perf_counter()
        _log.debug("process.began", work=name)
        try:
            # Cancelling kills the process: nobody waits for the result any more.
            return await to_process.run_sync(
                _within_bounds, self._seconds, work, *arguments, cancellable=True, limiter=self._limiter
            )
        except BrokenWorkerProcess as error:
            _log.warning("process.ended", work=name, reason=type(error).__name__)
            raise TimeoutError(f"{name} took too long") from error
        finally:
            seconds = time.perf_counter() - began
            _log.debug("process.finished", work=name, duration_ms=round(seconds * 1000, 2))
            if self._metrics is not None:
                self._metrics.pool_waited(POOL, began - asked)
                self._metrics.work_left_the_loop(POOL, seconds)


def _within_bounds(seconds: float, work: Callable[..., T], *arguments: Any) -> T:
    """Run the work in this process, which timers end after `seconds` of the processor, or when it had too small a share
    of it. Starting the process does not count.

    Work that needs more memory than MAX_MEMORY_BYTES fails like work that needs more time.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds / LEAST_SHARE)
    try:
        return work(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
