"""Takes a statistical profile of the event loop's thread, over all tasks, for some seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyinstrument import Profiler

SAMPLE_INTERVAL_S = 0.001

InThread = Callable[[Callable[[], str]], Awaitable[str]]


class ProfilingUnderWay(Exception):
    """Another profile is being taken; two at once would measure each other."""


class Profiling:
    """Takes profiles, and renders them `in_thread`. Costs nothing while none is being taken."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._under_way = False

    async def profile(self, seconds: float, *, as_text: bool) -> str:
        """Profile the next `seconds` and return an HTML page or plain text. Raises ProfilingUnderWay."""
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

    # Disabled, the profiler covers all tasks and not only the one that asked.
    profiler = Profiler(interval=SAMPLE_INTERVAL_S, async_mode="disabled")
    profiler.start()
    try:
        await asyncio.sleep(seconds)
    finally:
        profiler.stop()
    return profiler
