"""An audit event: who did what to what, in which request. Written once, never changed."""

from dataclasses import dataclass
from datetime import datetime

from service.domain import ids
from service.domain.ids import ApplicationId, OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One audited action. `actor` is the organisation or the application that the token belongs to.

    `target` is the id or uid in the path, or the id of what was created; `app_id` is the application it belongs
    to. `token_id` is the token's digest.
    """

    id: str
    org_id: OrgId
    action: str
    actor: str
    role: str
    token_id: str | None
    app_id: ApplicationId | None
    target: str | None
    correlation_id: str

    @property
    def at(self) -> datetime:
        """When it was done, to 1/256 s."""
        return ids.time_of(self.id)
