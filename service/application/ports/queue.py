"""Ports of the delivery queue and of its maintenance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.application.ports.ordered import StreamLag
from service.domain.deliveries import Claim, Settled, Settlement
from service.domain.ids import EndpointId
from service.domain.sinks import SinkKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many more deliveries an engine takes: `limit` in all, and for an endpoint its number in `rooms`, else
    `per_endpoint`."""

    limit: int
    per_endpoint: int
    rooms: Mapping[EndpointId, int]


class LocalEngine(Protocol):
    """The engine of this process, for deliveries that are leased to it when they are accepted."""

    def room(self) -> Room:
        """The room for deliveries that nobody has to claim."""
        ...

    def take_in(self, claims: Sequence[Claim]) -> None:
        """Attempt these, or hold them until they have a place."""


class DeliveryQueue(Protocol):
    """Pending deliveries: claimed under a lease, then settled or released."""

    async def claim(self, *, limit: int, per_endpoint: int, rooms: Mapping[EndpointId, int]) -> list[Claim]:
        """Claim up to `limit` due deliveries: per endpoint at most its number in `rooms`, else `per_endpoint`."""
        ...

    async def settle(self, settlement: Settlement) -> Settled:
        """Store the outcome of an attempt, if its lease is still ours. Raises Unavailable."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Release leases without an attempt; the deliveries are due at once."""

    async def wait(self) -> None:
        """Return when something may be due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSample:
    """The numbers of deliveries by state (due, leased, scheduled); how many seconds the oldest has been due."""

    depths: dict[str, int]
    oldest_due_age: float


class Upkeep(Protocol):
    """Periodic maintenance; any number of processes may do it at the same time."""

    async def make_room(self, *, now: datetime) -> None: ...
    async def clear_away(self, *, now: datetime) -> None: ...
    async def sample(self) -> QueueSample: ...
    async def failing(self) -> Mapping[str, int]: ...
    async def lags(self) -> Mapping[SinkKind, StreamLag]: ...
