"""The queue of deliveries that are owed, and what keeps it in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from service.domain.deliveries import Attempt, Claim
from service.domain.ids import EndpointId
from service.domain.retries import Gone, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What came of a claim, ready to be kept. `attempt` is None when nothing was sent because nobody is there.

    `rest` is how long the endpoint should get nothing, at the least; None when there is no reason for a rest.
    """

    claim: Claim
    verdict: Verdict
    attempt: Attempt | None
    rest: timedelta | None = None

    @property
    def endpoint_gone(self) -> bool:
        """Whether the receiver said that it wants no more."""
        return isinstance(self.verdict, Gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`applied` is False when the lease has passed to somebody else. The endpoint may have been switched off by it."""

    applied: bool
    endpoint_switched_off: bool


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
