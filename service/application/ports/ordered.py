"""Ports of ordered destinations and of the streams that they read."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.application.ports.pages import Page, PageRequest
from service.domain.batches import StreamMessage
from service.domain.ids import ApplicationId, DestinationId
from service.domain.ordered import Consumer, OrderedDestination, Setback
from service.domain.signatures import Secret
from service.domain.sinks import SinkKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of a stream is read at once. It ends with `messages` or `payload_bytes`, whichever comes first, but has
    at least one message. None as event types or channels means all."""

    messages: int
    payload_bytes: int = 4 * 1024 * 1024
    event_types: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Messages of a stream, in order; everything up to `through` was looked at. `expired` were wanted, but their
    payloads are not kept any more. With `ended` nothing follows."""

    messages: tuple[StreamMessage, ...]
    through: int
    ended: bool
    expired: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedClaim:
    """A destination under a lease, with what its batches need. `ahead` are positions beyond its own that are done."""

    destination: OrderedDestination
    secrets: tuple[Secret, ...]
    lease: str
    ahead: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How far a destination is: everything up to `position`, and the positions in `ahead`. With a `setback` a part of
    it fails, while the rest goes on."""

    position: int
    ahead: tuple[int, ...] = ()
    setback: Setback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLag:
    """How far the destination of a kind is behind that is furthest behind."""

    messages: int
    seconds: float


class OrderedQueue(Protocol):
    """Destinations that are behind their streams: claimed under a lease, then read until they are not."""

    async def claim(self, *, limit: int) -> list[OrderedClaim]:
        """Claim up to `limit` destinations that are due, those that have waited longest first."""
        ...

    async def read(self, claim: OrderedClaim, *, after: int) -> Passage:
        """The messages after a position that the destination wants."""
        ...

    async def advance(self, claim: OrderedClaim, done: Done) -> bool:
        """Store progress, and extend the lease. False when the lease is lost, or the destination was changed."""
        ...

    async def fail(self, claim: OrderedClaim, done: Done, setback: Setback) -> None:
        """Store progress and a setback, and give the lease back."""

    async def release(self, claim: OrderedClaim, done: Done) -> None:
        """Store progress, and give the lease back."""

    async def wait(self) -> None:
        """Return when a destination may be due."""


class DestinationRepository(Protocol):
    """Ordered destinations of one application. `ref` is an id or a uid; `lock` locks the row until the transaction's
    end."""

    async def get(self, app_id: ApplicationId, ref: str, *, lock: bool = False) -> OrderedDestination | None: ...
    async def page(
        self, app_id: ApplicationId, page: PageRequest, *, kinds: Collection[SinkKind] = tuple(SinkKind)
    ) -> Page[OrderedDestination]: ...

    async def add(self, destination: OrderedDestination, secrets: Sequence[Secret] = ()) -> None:
        """Conflict when the uid is taken. Its position is one that `position_at` has returned in this transaction."""

    async def replace(self, destination: OrderedDestination) -> None:
        """All but its position. Conflict when the uid is taken, NotFound when it was deleted meanwhile."""

    async def move(self, destination: OrderedDestination, *, position: int) -> None:
        """Go on after this position, whatever was done beyond it."""

    async def delete(self, destination: OrderedDestination) -> None:
        """Delete it with its consumers; its uid can be used again."""

    async def secrets(self, destination_id: DestinationId) -> tuple[Secret, ...]:
        """Newest first; none for a kind without signatures."""
        ...

    async def keep_secrets(self, destination_id: DestinationId, secrets: Sequence[Secret]) -> None: ...

    async def position_at(self, app_id: ApplicationId, at: datetime | None = None) -> int:
        """The position after which come the messages that were accepted at that time or later; without a time, those
        that are accepted from now on. The application's messages are numbered from then on, if they were not yet."""
        ...

    async def read(self, app_id: ApplicationId, extent: Extent, *, after: int) -> Passage:
        """The messages after a position."""
        ...

    async def consumer(self, destination: OrderedDestination, consumer_id: str) -> Consumer:
        """What the consumer has read; a new one begins at the destination's position. Its row is locked until the
        transaction's end. LimitReached when there are MAX_CONSUMERS."""
        ...

    async def keep_consumer(self, destination_id: DestinationId, consumer_id: str, consumer: Consumer) -> None: ...
