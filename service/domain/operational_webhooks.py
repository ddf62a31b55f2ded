"""Operational webhooks: Relevo's own messages to an organisation about its endpoints, and what causes them.

They are ordinary messages to a hidden application, one for each organisation. Those applications belong to an
organisation of Relevo's own, so that no list or statement of a tenant includes them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from service.domain.deliveries import Attempt, Claim, Status, Trigger
from service.domain.ids import OrgId
from service.domain.retries import Delivered, Exhausted, Gone, Verdict

OPERATIONS = OrgId("org_00000000000RelevoOperations")
FAILING_ATTEMPT = 4

EndpointEvent = Literal["endpoint.created", "endpoint.updated", "endpoint.deleted", "endpoint.disabled"]
AttemptEvent = Literal["message.attempt.failing", "message.attempt.exhausted", "message.attempt.recovered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationalEvent:
    """One event for the organisation `org_id`."""

    org_id: OrgId
    event_type: EndpointEvent | AttemptEvent
    data: Mapping[str, Any]

    @property
    def payload(self) -> bytes:
        """The body of the webhook, as JSON."""
        return json.dumps({"type": self.event_type, "data": self.data}, separators=(",", ":")).encode()


def attempt_event(claim: Claim, verdict: Verdict, attempt: Attempt | None) -> AttemptEvent | None:
    """The event that an attempt causes, if any. Manual attempts and operational webhooks themselves never cause one."""
    if attempt is None or claim.trigger is not Trigger.SCHEDULED or claim.org_id == OPERATIONS:
        return None
    match verdict:
        case Delivered():
            return "message.attempt.recovered" if claim.attempt > FAILING_ATTEMPT else None
        case Exhausted() | Gone():
            return "message.attempt.exhausted"
        case _:
            failing = attempt.status is Status.FAIL and claim.attempt == FAILING_ATTEMPT
            return "message.attempt.failing" if failing else None
