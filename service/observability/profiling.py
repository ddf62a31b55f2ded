"""A statistical profile of the event loop's thread, whatever task runs on it, for some seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyinstrument import Profiler

INTERVAL = 0.001

InThread = Callable[[Callable[[], str]], Awaitable[str]]


class ProfilingUnderWay(Exception):
    """One profile at a time: two would measure each other."""


class Profiling:
    """Takes profiles, and writes them out `in_thread`. Costs nothing while none is being taken."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._under_way = False

    async def profile(self, seconds: float, *, as_text: bool) -> str:
        """Where the time of the next seconds went, as a page of HTML or as text. ProfilingUnderWay."""
        if self._under_way:
            raise ProfilingUnderWay
        self._under_way = True
        try:
            profiler = await _taken(seconds)
            return await self._in_thread(profiler.output_text if as_text else profiler.output_html)
        finally:
            self._under_way = False


async def _taken(seconds: float) -> "Profiler":
    from pyinstrument import Profiler

    # Every task is of interest, and not only the one that asks.
    profiler = Profiler(interval=INTERVAL, async_mode="disabled")
    profiler.start()
    try:
        await asyncio.sleep(seconds)
    finally:
        profiler.stop()
    return profiler
