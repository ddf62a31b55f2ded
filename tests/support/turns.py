"""How long the event loop keeps everybody else waiting, in time of the processor: however busy the machine is."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import thread_time


class Turns:
    """The turns of the loop within a block."""

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds of the processor that the longest took."""

    async def watch(self) -> None:
        """Watch until cancelled."""
        before = thread_time()
        while True:
            await asyncio.sleep(0)
            now = thread_time()
            self.longest = max(self.longest, now - before)
            before = now


@asynccontextmanager
async def turns() -> AsyncIterator[Turns]:
    """The turns of the loop while the block lasts. No garbage is collected meanwhile: it would be that of all tests."""
    watched = Turns()
    gc.disable()
    watching = asyncio.create_task(watched.watch())
    try:
        yield watched
    finally:
        watching.cancel()
        gc.enable()
