"""A broker in memory, as brokers are: what is not acknowledged is delivered again to whoever connects next."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from service.application.ports.sources import BrokerLost
from service.domain.broker_messages import BrokerMessage
from service.domain.sources import Origin, Source

FETCH_TIMEOUT_S = 0.05


class MemoryBroker:
    """Holds messages, and what was acknowledged, held and buried of them, by position."""

    def __init__(self) -> None:
        self.waiting: list[BrokerMessage] = []
        self.acknowledged: list[str] = []
        self.buried: list[tuple[str, str]] = []
        self.fetched = 0
        self.opened = 0
        self.refuses: str | None = None
        self._changed = asyncio.Event()

    def put(self, body: bytes, headers: dict[str, str] | None = None, *, event_id: str | None = None) -> None:
        """A producer's message."""
        number = len(self.waiting) + len(self.acknowledged)
        message = BrokerMessage(
            body=body, headers=headers or {}, position=f"memory-{number}", event_id=event_id, receipt=number
        )
        self.waiting.append(message)
        self._changed.set()

    @asynccontextmanager
    async def __call__(self, source: Source, origin: Origin) -> AsyncIterator["MemoryConsumer"]:
        """A consumer, unless the broker refuses."""
        if self.refuses is not None:
            raise BrokerLost(self.refuses)
        self.opened += 1
        yield MemoryConsumer(self)

    async def until_empty(self) -> None:
        """Wait until everything is acknowledged."""
        while self.waiting:
            self._changed.clear()
            await self._changed.wait()

    def forget(self, position: str) -> None:
        """The message was acknowledged."""
        self.waiting = [each for each in self.waiting if each.position != position]
        self.acknowledged.append(position)
        self._changed.set()


class MemoryConsumer:
    """Fulfils `ports.SourceConsumer`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._handed: set[str] = set()

    async def fetch(self, most: int) -> list[BrokerMessage]:
        self._refuse()
        found = [each for each in self._broker.waiting if each.position not in self._handed][:most]
        if not found:
            self._broker._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(FETCH_TIMEOUT_S):
                    await self._broker._changed.wait()
        self._handed |= {each.position for each in found}
        self._broker.fetched += len(found)
        return found

    async def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        self._refuse()
        for message in messages:
            self._broker.forget(message.position)

    async def hold(self, messages: Sequence[BrokerMessage]) -> None:
        self._refuse()

    async def bury(self, message: BrokerMessage, reason: str) -> None:
        self._refuse()
        self._broker.buried.append((message.position, reason))

    async def lag(self) -> int | None:
        return len(self._broker.waiting)

    def _refuse(self) -> None:
        if self._broker.refuses is not None:
            raise BrokerLost(self._broker.refuses)
