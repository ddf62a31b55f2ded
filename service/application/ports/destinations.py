"""Where deliveries go: what reaches a destination of each kind, and what makes one attempt at any."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from service.domain.deliveries import Attempt, Claim
from service.domain.destinations import Destination, Parcel
from service.domain.outcomes import Outcome

Kind_contra = TypeVar("Kind_contra", contravariant=True)


class Sender(Protocol[Kind_contra]):
    """Reaches destinations of one kind."""

    async def send(self, destination: Kind_contra, parcel: Parcel) -> Outcome:
        """Hand the parcel over once, bounded by the attempt timeout.

        It never raises for a bad receiver: the outcome is a value. What it raises is our own fault, and told as such.
        """
        ...


Senders = Mapping[type[Destination], Sender[Any]]


class AttemptMaker(Protocol):
    """Makes an attempt while somebody waits for what comes of it."""

    async def once(self, claim: Claim) -> Attempt:
        """Sign, send, judge and tell. Never raises on account of the receiver, nor of a fault of ours."""
        ...
