"""A statistical profile of the event loop's thread, whatever task runs on it, for some seconds."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyinstrument import Profiler

INTERVAL = 0.001


class ProfilingUnderWay(Exception):
    """One profile at a time: two would measure each other."""


class Profiling:
    """Takes profiles. Costs nothing while none is being taken."""

    def __init__(self) -> None:
        self._under_way = False

    async def profile(self, seconds: float, *, as_text: bool) -> str:
        """Where the time of the next seconds went, as a page of HTML or as text. ProfilingUnderWay."""
        if self._under_way:
            raise ProfilingUnderWay
        self._under_way = True
        try:
            profiler = await _taken(seconds)
            return await asyncio.to_thread(profiler.output_text if as_text else profiler.output_html)
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
