"""An application: one of an organisation's customers. It has endpoints, and messages are sent to it."""

from dataclasses import dataclass, field
from datetime import datetime

from service.domain.ids import ApplicationId, OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApplication:
    """The fields of an application that a caller sets. `throttle_rate` is in deliveries per second."""

    name: str
    uid: str | None = None
    throttle_rate: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application(NewApplication):
    """An application as stored."""

    id: ApplicationId
    org_id: OrgId
    created_at: datetime
    updated_at: datetime
