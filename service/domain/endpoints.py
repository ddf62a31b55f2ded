"""An endpoint: a URL of the application's that wants messages, all or some of them."""

from dataclasses import dataclass, field
from datetime import datetime

from service.domain.ids import ApplicationId, EndpointId, OrgId


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """What a caller says of an endpoint. No event types or channels means every one."""

    url: str
    description: str = ""
    uid: str | None = None
    version: int = 1
    disabled: bool = False
    throttle_rate: int | None = None
    event_types: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(NewEndpoint):
    """An endpoint as it is kept. Its secret and headers are read on their own, never with it."""

    id: EndpointId
    app_id: ApplicationId
    org_id: OrgId
    created_at: datetime
    updated_at: datetime
