"""Loops that last as long as the process: nothing but its end may end them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from structlog.stdlib import BoundLogger

from service.domain import retries
from service.domain.errors import Unavailable

MIN_BACKOFF_S = 0.25
MAX_BACKOFF_S = 5.0


async def take_turns(
    turn: Callable[[], Awaitable[object]], *, draining: asyncio.Event, log: BoundLogger, failure: str
) -> None:
    """Take one turn after the other until `draining`. One that fails, whatever the error, is logged as `failure`, and
    the next waits for longer each time."""
    pauses = retries.pauses(MIN_BACKOFF_S, longest=MAX_BACKOFF_S)
    while not draining.is_set():
        try:
            await turn()
            pauses = retries.pauses(MIN_BACKOFF_S, longest=MAX_BACKOFF_S)
        except Exception as error:  # noqa: BLE001 - whatever the error, the next turn may succeed
            pause = next(pauses)
            tell = log.warning if isinstance(error, Unavailable) else log.exception
            tell(failure, reason=type(error.__cause__ or error).__name__, seconds=pause)
            await first_of(draining.wait(), asyncio.sleep(pause))


async def first_of(*awaitables: Awaitable[object]) -> None:
    """Wait for the first of these to finish, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def until_done(loop: asyncio.Task[None], *, within: timedelta) -> None:
    """Wait for the end of a loop that was asked to stop, and cancel it if it does not end in time."""
    await asyncio.wait({loop}, timeout=within.total_seconds())
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
