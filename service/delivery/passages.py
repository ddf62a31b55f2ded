"""What a reader of a stream has at hand: the messages that were read and not sent yet, and the next ones, which are
read while these are sent."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from service.application.ports.ordered import Passage
from service.domain.batches import StreamMessage

Read = Callable[[int], Awaitable[Passage]]


class ReadAhead:
    """The messages after a position. `read` reads a passage after a position; `passed` is called with the number of
    messages that it has left out because they have expired."""

    def __init__(self, read: Read, *, after: int, passed: Callable[[int], None]) -> None:
        self._read = read
        self._passed = passed
        self._held: deque[StreamMessage] = deque()
        self._through = after
        self._ended = False
        self._asked: asyncio.Task[Passage] | None = None

    @property
    def through(self) -> int:
        """The position up to which everything was taken or is not wanted."""
        return self._held[0].position - 1 if self._held else self._through

    @property
    def ended(self) -> bool:
        """Whether the stream had no more when it was last read, and everything was taken."""
        return self._ended and not self._held

    async def take(self, most: int, *, payload_bytes: int) -> list[StreamMessage]:
        """The next messages, of which the first is taken whatever its size. Fewer than `most`, or none, are left when
        the stream has ended or the next one has no room. Raises Unavailable."""
        if len(self._held) < most:
            self._ended = False
        while len(self._held) < most and not self._ended:
            await self._receive()
        taken: list[StreamMessage] = []
        room = payload_bytes
        while self._held and len(taken) < most and (not taken or len(self._held[0].payload) <= room):
            taken.append(self._held.popleft())
            room -= len(taken[-1].payload)
        if len(self._held) < most and not self._ended:
            self._ask()
        return taken

    def put_back(self, messages: Sequence[StreamMessage]) -> None:
        """These were taken last, and not sent."""
        self._held.extendleft(reversed(messages))

    async def close(self) -> None:
        """Read no more."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)

    async def _receive(self) -> None:
        try:
            passage = await self._ask()
        finally:
            self._asked = None
        self._held.extend(passage.messages)
        self._through, self._ended = passage.through, passage.ended
        if passage.expired:
            self._passed(passage.expired)

    def _ask(self) -> asyncio.Task[Passage]:
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._read(self._through))
        return self._asked
