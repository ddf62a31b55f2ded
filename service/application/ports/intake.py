"""Where messages come in, and what is asked of them before."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.domain.ids import OrgId
from service.domain.messages import KeyTaken, NewMessage, Reception, Repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRule:
    """What an event type asks of its payloads: a JSON Schema as it is written, if it has one, as of `version`."""

    schema: bytes | None
    version: datetime


class PayloadRules(Protocol):
    """Where the rules for payloads are kept."""

    async def rule(self, org_id: OrgId, event_type: str) -> PayloadRule | None:
        """None when the event type does not vouch for its payloads."""
        ...


class Intake(Protocol):
    """Where messages come in: many callers, one commit."""

    async def accept(self, message: NewMessage) -> Reception:
        """Answers once the message and every delivery it owes are committed. Busy when too many wait."""
        ...

    async def first_use(self, message: NewMessage) -> Repeated | KeyTaken | None:
        """What the message's idempotency key stands for, if it was used before."""
        ...
