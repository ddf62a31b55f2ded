"""Ports of senders, one for each kind of destination, and of making one attempt."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from service.domain.deliveries import Attempt, Claim
from service.domain.destinations import Destination, Parcel
from service.domain.outcomes import Outcome

Kind_contra = TypeVar("Kind_contra", contravariant=True)


class Sender(Protocol[Kind_contra]):
    """Sends to destinations of one kind."""

    async def send(self, destination: Kind_contra, parcel: Parcel) -> Outcome:
        """Send the parcel once, within the attempt timeout.

        Whatever the receiver does is an outcome. An exception is a fault of ours and is recorded as such.
        """
        ...


Senders = Mapping[type[Destination], Sender[Any]]


class AttemptMaker(Protocol):
    """Makes an attempt while the caller waits for its outcome."""

    async def once(self, claim: Claim) -> Attempt:
        """Make one attempt. Neither the receiver nor a fault of ours makes it raise."""
        ...
