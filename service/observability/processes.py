"""Work that needs a processor for long leaves the event loop and the interpreter: in processes, each with a deadline.

A process can be ended while it computes, a thread cannot. So what strangers may make slow, such as matching their
patterns, is done here.
"""

import asyncio
import multiprocessing
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import structlog

from service.observability.metrics import Metrics
from service.observability.threads import leave_the_loop

T = TypeVar("T")

_log = structlog.stdlib.get_logger("relevo.processes")


class Processes:
    """At most `workers` processes, started by the first work; `seconds` is what each piece of work may take."""

    def __init__(self, *, workers: int, seconds: float, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self._workers = workers
        self._seconds = seconds
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work`, a function of a module, makes of the arguments. TimeoutError when it takes too long.

        The lines that tell of begin and end carry the ids of the request; the work itself writes none.
        """
        name, began = work.__name__, time.perf_counter()
        _log.debug("process.began", work=name)
        pool = self._opened()
        try:
            async with asyncio.timeout(self._seconds):
                return await leave_the_loop(pool, work, *arguments)
        except (TimeoutError, BrokenProcessPool) as error:
            self._end(pool)
            _log.warning("process.ended", work=name, reason=type(error).__name__)
            raise TimeoutError(f"{name} took too long") from error
        finally:
            seconds = time.perf_counter() - began
            _log.debug("process.finished", work=name, duration_ms=round(seconds * 1000, 2))
            if self._metrics is not None:
                self._metrics.work_left_the_loop("processes", seconds)

    def close(self) -> None:
        """End the processes, whatever they do."""
        if self._pool is not None:
            self._end(self._pool)

    def _opened(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # A fork would copy the loop, the connections and the locks of running threads.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_leave_signals_alone)
        return self._pool

    def _end(self, pool: ProcessPoolExecutor) -> None:
        if self._pool is pool:
            self._pool = None
        for process in list((pool._processes or {}).values()):  # noqa: SLF001 - only a signal ends a computation
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def _leave_signals_alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
