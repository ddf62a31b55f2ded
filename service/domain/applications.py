"""An application: one of the sender's own customers, who owns endpoints and receives messages."""

from dataclasses import dataclass, field
from datetime import datetime

from service.domain.ids import ApplicationId, OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApplication:
    """What a caller says of an application. `throttle_rate` is in messages per second."""

    name: str
    uid: str | None = None
    throttle_rate: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application(NewApplication):
    """An application as it is kept."""

    id: ApplicationId
    org_id: OrgId
    created_at: datetime
    updated_at: datetime
