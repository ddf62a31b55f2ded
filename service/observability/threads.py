"""The one way work leaves the event loop: bounded, measured, told, and with the asker's ids and trace along.

Executors carry none of them, and refuse nobody however long the line is.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import structlog

from service.domain.errors import Busy
from service.observability.metrics import Metrics

T = TypeVar("T")

MOST_WAITING = 1024

_log = structlog.stdlib.get_logger("relevo.threads")


async def leave_the_loop(executor: Executor, work: Callable[..., T], *arguments: object) -> T:
    """Wait for `executor` to do the work. Neither ids nor trace go along: see `Threads` for that."""
    return await asyncio.wrap_future(executor.submit(work, *arguments))


class Threads:
    """At most `workers` pieces of work at once, and so many more in line; whoever comes then is told Busy."""

    def __init__(
        self, name: str, *, workers: int, most_waiting: int = MOST_WAITING, metrics: Metrics | None = None
    ) -> None:
        self._name = name
        self._most = workers + most_waiting
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._inside = 0
        self._counting = threading.Lock()
        if metrics is not None:
            metrics.observe_pool(name, size=lambda: workers, checked_out=lambda: min(self._inside, workers))

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking `work` in a thread; its log lines and spans belong to whoever asked. Busy when too many wait."""
        self._enter()
        context = contextvars.copy_context()
        try:
            job = self._executor.submit(context.run, self._told, work, time.perf_counter())
        except BaseException:
            self._leave(None)
            raise
        # Whoever gives up waiting does not end the work: its place is free when the thread is.
        job.add_done_callback(self._leave)
        return await asyncio.wrap_future(job)

    def close(self, *, wait: bool = True) -> None:
        """Take no more work. What is under way is waited for, or else finishes unheard."""
        self._executor.shutdown(wait=wait, cancel_futures=not wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _enter(self) -> None:
        with self._counting:
            if self._inside >= self._most:
                raise Busy
            self._inside += 1

    def _leave(self, _: "Future[T] | None") -> None:
        with self._counting:
            self._inside -= 1

    def _told(self, work: Callable[[], T], asked: float) -> T:
        began = time.perf_counter()
        _log.debug("thread.began", pool=self._name, thread=threading.current_thread().name)
        try:
            return work()
        finally:
            seconds = time.perf_counter() - began
            _log.debug("thread.finished", pool=self._name, duration_ms=round(seconds * 1000, 2))
            if self._metrics is not None:
                self._metrics.pool_waited(self._name, began - asked)
                self._metrics.work_left_the_loop(self._name, seconds)
