"""Ports of the intake of messages, and of the rules for their payloads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.domain.ids import OrgId
from service.domain.messages import KeyTaken, NewMessage, Reception, Repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRule:
    """The JSON Schema (as JSON) that an event type's payloads must be valid under, if it has one; `version` is its
    time."""

    schema: bytes | None
    version: datetime


class PayloadRules(Protocol):
    """Reads the rules for payloads."""

    async def rule(self, org_id: OrgId, event_type: str) -> PayloadRule | None:
        """The rule of an event type; None when it does not validate payloads."""
        ...


class Intake(Protocol):
    """Stores messages, many in one group commit."""

    async def accept(self, message: NewMessage) -> Reception:
        """Return once the message and its deliveries are committed. Raises Busy when too many wait."""
        ...

    async def first_use(self, message: NewMessage) -> Repeated | KeyTaken | None:
        """The result of the first use of the message's idempotency key; None if it was not used before."""
        ...
