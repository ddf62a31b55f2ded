"""The one way work leaves the event loop: bounded, measured, told, and with the asker's ids and trace along.

Executors carry none of them, and refuse nobody however long the line is.
"""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import structlog

from service.observability.metrics import Metrics
from service.offloading.turns import MOST_WAITING, Turns

T = TypeVar("T")

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
        self._turns = Turns(workers, most_waiting=most_waiting)
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)
        if metrics is not None:
            metrics.observe_pool(name, size=lambda: workers, checked_out=lambda: self._turns.taken)

    async def run(self, work: Callable[[], T], *, tenant: str | None = None) -> T:
        """Do blocking `work` in a thread; its log lines and spans belong to whoever asked. Busy when too many wait."""
        asked = time.perf_counter()
        await self._turns.enter(tenant)
        context = contextvars.copy_context()
        try:
            job = self._executor.submit(context.run, self._told, work, asked)
        except BaseException:
            self._turns.leave(tenant)
            raise
        # Whoever gives up waiting does not end the work: its place is free when the thread is.
        done = asyncio.wrap_future(job)
        job.add_done_callback(partial(self._leave_soon, asyncio.get_running_loop(), tenant))
        return await done

    def close(self, *, wait: bool = True) -> None:
        """Take no more work. What is under way is waited for, or else finishes unheard."""
        self._executor.shutdown(wait=wait, cancel_futures=not wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _leave_soon(self, loop: asyncio.AbstractEventLoop, tenant: str | None, _: "Future[T]") -> None:
        # The loop may have ended before work that nobody waited for.
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
