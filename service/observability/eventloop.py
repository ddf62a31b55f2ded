"""How late the event loop is: the first sign of work that should not run on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from service.observability.metrics import Metrics

INTERVAL = 0.5


async def sample_lag(
    metrics: Metrics,
    *,
    interval: float = INTERVAL,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Run as a task: sleep, and record by how much the waking was late."""
    while True:
        due = clock() + interval
        await sleep(interval)
        metrics.eventloop_lag(clock() - due)
