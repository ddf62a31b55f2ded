"""Ports of senders, one for each kind of destination, and of making one attempt."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from service.domain.batches import Batch, BatchResult
from service.domain.deliveries import Attempt, Claim
from service.domain.destinations import Destination, Parcel
from service.domain.outcomes import Outcome
from service.domain.sinks import PushedSink

Kind_contra = TypeVar("Kind_contra", contravariant=True)


class Sender(Protocol[Kind_contra]):
    """Sends to destinations of one kind."""

    async def send(self, destination: Kind_contra, parcel: Parcel) -> Outcome:
        """Send the parcel once, within the attempt timeout.

        Whatever the receiver does is an outcome. An exception is a fault of ours and is recorded as such.
        """
        ...


Senders = Mapping[type[Destination], Sender[Any]]


class BatchSender(Protocol[Kind_contra]):
    """Sends batches to ordered destinations of one kind. It keeps connections between calls, and may drop them."""

    async def send(self, sink: Kind_contra, batch: Batch) -> BatchResult:
        """Send the batch once, in order, within the attempt timeout.

        Whatever the receiver does is an outcome. An exception is a fault of ours and is recorded as such.
        """
        ...


BatchSenders = Mapping[type[PushedSink], BatchSender[Any]]


class AttemptMaker(Protocol):
    """Makes an attempt while the caller waits for its outcome."""

    async def once(self, claim: Claim) -> Attempt:
        """Make one attempt. Neither the receiver nor a fault of ours makes it raise."""
        ...
