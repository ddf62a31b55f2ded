"""Periodic maintenance beside the engine: make and drop partitions, delete expired rows, sample gauges."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import structlog

from service.application.ports.machine import Clock
from service.application.ports.queue import Upkeep
from service.delivery.engine import Engine
from service.domain.errors import Unavailable
from service.observability.metrics import Metrics

SAMPLE_INTERVAL = timedelta(seconds=5)
HEALTH_INTERVAL = timedelta(seconds=30)
CLEAR_INTERVAL = timedelta(minutes=5)

CANCEL_RETRY_S = 0.5  # seconds

_log = structlog.stdlib.get_logger("relevo.upkeep")


@asynccontextmanager
async def keeping(
    upkeep: Upkeep, *, engine: Engine, clock: Clock, metrics: Metrics, database: str | None = None
) -> AsyncIterator[None]:
    """Run the periodic work while the block lasts. Where there are several databases, `database` is its name."""

    async def sample() -> None:
        sampled = await upkeep.sample()
        metrics.queue_sampled(sampled.depths, oldest_due_age=sampled.oldest_due_age, database=database)
        metrics.worker(inflight=engine.inflight, capacity=engine.capacity, database=database)
        metrics.breakers_open(engine.narrowed, database=database)

    async def examine() -> None:
        metrics.endpoints_failing(await upkeep.failing(), database=database)
        lags = await upkeep.lags()
        behind = {kind.value: (lag.messages, lag.seconds) for kind, lag in lags.items()}
        metrics.streams_sampled(behind, database=database)

    async def clear() -> None:
        await upkeep.make_room(now=clock.now())
        await upkeep.clear_away(now=clock.now())

    async with AsyncExitStack() as rounds:
        await rounds.enter_async_context(every(SAMPLE_INTERVAL, sample))
        await rounds.enter_async_context(every(HEALTH_INTERVAL, examine))
        await rounds.enter_async_context(every(CLEAR_INTERVAL, clear))
        yield


@asynccontextmanager
async def every(interval: timedelta, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run the work at once and then every `interval` while the block lasts. A failed round is logged."""
    task = asyncio.create_task(_repeat(interval.total_seconds(), work), name=f"upkeep {_name(work)}")
    try:
        yield
    finally:
        while not task.done():
            # Repeated, since a statement that ends at the moment of cancelling may swallow the cancellation.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_RETRY_S)


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Unavailable as error:
            _log.warning("upkeep.postponed", work=_name(work), reason=type(error.__cause__).__name__)
        except Exception:  # noqa: BLE001 - the next round may well succeed, and the process must live
            _log.exception("upkeep.failed", work=_name(work))
        await asyncio.sleep(seconds)


def _name(work: Callable[[], Awaitable[None]]) -> str:
    return getattr(work, "__name__", type(work).__name__)
