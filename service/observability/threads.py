"""The one way work leaves the event loop: with the request's ids and trace along, which executors do not carry."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def run_in_thread(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Run blocking `work` in `pool`; its log lines and spans belong to whoever asked."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(pool, lambda: context.run(work))
