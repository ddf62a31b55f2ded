"""Ports of sources: what is kept of them, and the brokers' messages as they come."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from service.application.ports.pages import Page, PageRequest
from service.domain.broker_messages import BrokerMessage
from service.domain.ids import OrgId, SourceId
from service.domain.sources import Origin, ReaderReport, Source, SourceFault, SourceKind


class SourceRepository(Protocol):
    """Sources of one organisation; `lock` locks the row until the transaction's end."""

    async def get(self, org_id: OrgId, source_id: str, *, lock: bool = False) -> Source | None: ...
    async def page(self, org_id: OrgId, page: PageRequest) -> Page[Source]: ...
    async def add(self, source: Source, origin: Origin) -> None: ...

    async def replace(self, source: Source, origin: Origin | None) -> None:
        """Without an `origin` the stored one stays. NotFound when it was deleted meanwhile."""

    async def delete(self, source: Source) -> None:
        """Delete it with its faults."""

    async def has(self, org_id: OrgId, *, at_least: int) -> bool: ...

    async def reports(self, source_ids: Sequence[SourceId]) -> Mapping[SourceId, Sequence[ReaderReport]]:
        """What processes told of their reading of each."""
        ...

    async def faults(self, source_id: SourceId, page: PageRequest) -> Page[SourceFault]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSource:
    """A source to be read, with its origin's credentials."""

    source: Source
    origin: Origin


class SourceLedger(Protocol):
    """What reads sources knows of them, and writes down. Raises Unavailable."""

    async def enabled(self) -> Sequence[OpenedSource]:
        """Every source to be read, of all organisations. One whose credentials no key decrypts is left out."""
        ...

    async def report(self, source_id: SourceId, report: ReaderReport) -> None:
        """Store what a process tells, in the place of what it told before."""

    async def refuse(self, source_id: SourceId, faults: Sequence[SourceFault]) -> None:
        """Store refused messages, each once by its position, and drop the oldest ones beyond the limit."""

    async def changed(self) -> None:
        """Wait until sources may have changed, for some seconds at most."""


class SourceConsumer(Protocol):
    """Reads one source. Whatever the broker does raises BrokerLost; then the consumer is closed and opened again."""

    async def fetch(self, most: int) -> Sequence[BrokerMessage]:
        """Wait for messages, for about a second. At most that many."""
        ...

    async def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        """These are committed or refused for good: the broker may forget them."""

    async def hold(self, messages: Sequence[BrokerMessage]) -> None:
        """These still wait here: the broker shall not deliver them to others yet."""

    async def bury(self, message: BrokerMessage, reason: str) -> None:
        """Send a refused message to the dead letters that the source names, if any, and wait until they have it."""

    async def lag(self) -> int | None:
        """How many messages wait at the broker."""
        ...


class BrokerLost(Exception):
    """The broker cannot be reached, refuses us, or lacks what the source names. `reason` may be shown: it has no
    credentials."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


OpenConsumer = Callable[[Source, Any], AbstractAsyncContextManager[SourceConsumer]]
Consumers = Mapping[SourceKind, OpenConsumer]
