"""The queue of deliveries that are owed, and what keeps it in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.domain.deliveries import Claim, Settled, Settlement
from service.domain.ids import EndpointId


class DeliveryQueue(Protocol):
    """Deliveries that are owed: taken under a lease, given back or settled."""

    async def claim(self, *, limit: int, per_endpoint: int, rooms: Mapping[EndpointId, int]) -> list[Claim]:
        """Up to `limit` due deliveries, at most `per_endpoint` of one endpoint, or what `rooms` has for it."""
        ...

    async def settle(self, settlement: Settlement) -> Settled:
        """Keep what came of an attempt, if its lease is still ours."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give leases back unspent; the deliveries are due at once."""

    async def wait(self) -> None:
        """Return when something may be due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSample:
    """How many deliveries are due, leased and scheduled for later; how many seconds the oldest has been due."""

    depths: dict[str, int]
    oldest_due_age: float


class Upkeep(Protocol):
    """What has to be done now and then; any number of processes may do it at once."""

    async def make_room(self, *, now: datetime) -> None: ...
    async def clear_away(self, *, now: datetime) -> None: ...
    async def sample(self) -> QueueSample: ...
    async def failing(self) -> Mapping[str, int]: ...
