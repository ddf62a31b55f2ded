"""Measures the event loop's lag: how late it wakes a sleeping task. Blocking work on the loop shows here first."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from service.observability.metrics import Metrics

SAMPLE_INTERVAL_S = 0.5


async def sample_lag(
    metrics: Metrics,
    *,
    interval: float = SAMPLE_INTERVAL_S,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Run as a task, for ever: sleep `interval` seconds and record how late the loop woke it."""
    while True:
        due = clock() + interval
        await sleep(interval)
        metrics.eventloop_lag(clock() - due)
