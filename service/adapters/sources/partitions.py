"""How far each partition of a topic is done: of what was fetched, everything before the committed offset."""

import asyncio
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Partition:
    """Offsets that were fetched and are not committed, in order; offsets of a topic may have gaps."""

    fetched: deque[int] = field(default_factory=deque)
    done: set[int] = field(default_factory=set)


class Partitions:
    """The partitions that this process has. Messages are done in any order; an offset is committed when everything
    fetched before it is done."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}
        self._changed = asyncio.Event()

    def fetched(self, partition: int, offset: int) -> None:
        """The message was fetched, after all others of its partition."""
        self._partitions.setdefault(partition, _Partition()).fetched.append(offset)

    def done(self, partition: int, offset: int) -> None:
        """The message needs to be fetched no more. Of a partition that was given up this means nothing."""
        known = self._partitions.get(partition)
        if known is not None:
            known.done.add(offset)

    def committable(self) -> dict[int, int]:
        """For each partition with progress the offset to go on from. It is forgotten here: commit it."""
        found = {}
        for number, partition in self._partitions.items():
            last = None
            while partition.fetched and partition.fetched[0] in partition.done:
                last = partition.fetched.popleft()
                partition.done.discard(last)
            if last is not None:
                found[number] = last + 1
        return found

    def committed(self) -> None:
        """What was committable is committed."""
        self._changed.set()

    async def until_done(self, partitions: set[int], *, within: float) -> None:
        """Wait until everything fetched of these partitions is done and was committable, or for that many seconds."""
        try:
            async with asyncio.timeout(within):
                while any(self._partitions[each].fetched for each in partitions & self._partitions.keys()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def give_up(self, partitions: set[int]) -> None:
        """These are another process's now: what is not done is fetched again there."""
        for each in partitions:
            self._partitions.pop(each, None)
        self._changed.set()
