"""What Relevo itself tells an organisation, in webhooks of its own: the events, and when a delivery calls for one.

They are ordinary messages to an application that each organisation has besides its own. All of those belong to an
organisation of Relevo's, so that no list and no statement of a tenant ever meets them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from service.domain.deliveries import Attempt, Claim, Status, Trigger
from service.domain.ids import OrgId
from service.domain.retries import Delivered, Exhausted, Gone, Verdict

OPERATIONS = OrgId("org_00000000000RelevoOperations")
FAILING_AT = 4

EndpointEvent = Literal["endpoint.created", "endpoint.updated", "endpoint.deleted", "endpoint.disabled"]
AttemptEvent = Literal["message.attempt.failing", "message.attempt.exhausted", "message.attempt.recovered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationalEvent:
    """One thing to tell `org_id`."""

    org_id: OrgId
    event_type: EndpointEvent | AttemptEvent
    data: Mapping[str, Any]

    @property
    def payload(self) -> bytes:
        """The body that is delivered."""
        return json.dumps({"type": self.event_type, "data": self.data}, separators=(",", ":")).encode()


def attempt_event(claim: Claim, verdict: Verdict, attempt: Attempt | None) -> AttemptEvent | None:
    """What an attempt gives cause to tell. Manual attempts and Relevo's own webhooks never do."""
    if attempt is None or claim.trigger is not Trigger.SCHEDULED or claim.org_id == OPERATIONS:
        return None
    match verdict:
        case Delivered():
            return "message.attempt.recovered" if claim.attempt > FAILING_AT else None
        case Exhausted() | Gone():
            return "message.attempt.exhausted"
        case _:
            failing = attempt.status is Status.FAIL and claim.attempt == FAILING_AT
            return "message.attempt.failing" if failing else None
