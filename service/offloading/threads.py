"""Runs blocking work in threads: bounded, measured and logged, with the caller's correlation id and trace.

A bare executor carries neither into its threads, and its queue has no bound.
"""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import structlog

from service.observability.metrics import Metrics
from service.offloading.turns import MAX_QUEUED_CALLS, Turns

T = TypeVar("T")

_log = structlog.stdlib.get_logger("relevo.threads")


class Threads:
    """A pool of `workers` threads. At most `most_waiting` calls are queued; one more raises Busy."""

    def __init__(
        self, name: str, *, workers: int, most_waiting: int = MAX_QUEUED_CALLS, metrics: Metrics | None = None
    ) -> None:
        self._name = name
        self._turns = Turns(workers, most_waiting=most_waiting)
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)
        if metrics is not None:
            metrics.observe_pool(name, size=lambda: workers, checked_out=lambda: self._turns.taken)

    async def run(self, work: Callable[[], T], *, tenant: str | None = None) -> T:
        """Run blocking `work` in a thread, with the caller's context. Busy when too many calls are queued."""
        asked = time.perf_counter()
        await self._turns.enter(tenant)
        context = contextvars.copy_context()
        try:
            job = self._executor.submit(context.run, self._told, work, asked)
        except BaseException:
            self._turns.leave(tenant)
            raise
        # A cancelled caller does not end the work, so the place is given back when the thread has finished.
        done = asyncio.wrap_future(job)
        job.add_done_callback(partial(self._free_place, asyncio.get_running_loop(), tenant))
        return await done

    def close(self, *, wait: bool = True) -> None:
        """Take no more work. With `wait`, running work is waited for; else its results are dropped."""
        self._executor.shutdown(wait=wait, cancel_futures=not wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _free_place(self, loop: asyncio.AbstractEventLoop, tenant: str | None, _: "Future[T]") -> None:
        # The loop may be closed before abandoned work has finished.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._turns.leave, tenant)

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
