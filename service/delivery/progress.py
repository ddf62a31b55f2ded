"""How far a claimed destination is. The database is told while the next batch is sent, so a crash repeats a little."""

import asyncio

from service.application.ports.ordered import Done, OrderedClaim, OrderedQueue
from service.application.turns import first_of

WRITE_INTERVAL_S = 0.02  # between writes, each of which costs as much as several messages that are sent alone
MAX_UNWRITTEN = 1_000  # messages that are done and would be repeated after a crash


class DestinationProgress:
    """Writes the newest position, a little after the write before is over."""

    def __init__(self, queue: OrderedQueue, claim: OrderedClaim) -> None:
        self._queue = queue
        self._claim = claim
        self._written = self.done = Done(position=claim.destination.position, ahead=claim.ahead)
        self._writing: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        self.lost = False  # the lease, or the destination is another than it was claimed

    async def advance(self, done: Done) -> None:
        """So much is done. Waits for the database only while too much is unwritten. Raises Unavailable."""
        self.done = done
        if self._writing is not None and self._writing.done():
            self._writing.result()
            self._writing = None
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="progress of a destination")
        if done.position - self._written.position > MAX_UNWRITTEN:
            await self.written()

    async def renew(self) -> None:
        """Extend the lease without any progress. Raises Unavailable."""
        await self.written()
        self.lost = self.lost or not await self._queue.advance(self._claim, self.done)

    async def written(self) -> None:
        """Wait until the database knows everything. Raises Unavailable."""
        if self._writing is not None:
            self._hurried.set()
            await self._writing
            self._hurried.clear()

    async def close(self) -> None:
        """Write no more."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        while self._written != self.done and not self.lost:
            done = self.done
            self.lost = not await self._queue.advance(self._claim, done)
            self._written = done
            if self._written != self.done:
                await first_of(self._hurried.wait(), asyncio.sleep(WRITE_INTERVAL_S))
