"""The one way work leaves the event loop: with the request's ids and trace along, which executors do not carry."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

T = TypeVar("T")

_log = structlog.stdlib.get_logger("relevo.threads")


async def run_in_thread(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Run blocking `work` in `pool`; its log lines and spans belong to whoever asked."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(pool, lambda: context.run(_told, work))


def _told(work: Callable[[], T]) -> T:
    began = time.perf_counter()
    _log.debug("thread.began", thread=threading.current_thread().name)
    try:
        return work()
    finally:
        _log.debug("thread.finished", duration_ms=round((time.perf_counter() - began) * 1000, 2))
