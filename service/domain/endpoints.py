"""An endpoint: a destination of the application's that wants messages, all or some of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from service.domain.destinations import Destination
from service.domain.ids import ApplicationId, EndpointId, OrgId

TRACE_WISH = "relevo.traceparent"  # the key in an endpoint's metadata


class DisabledReason(StrEnum):
    """Who disabled an endpoint, and why; the words are the interface's."""

    GONE = "gone"  # it answered 410
    FAILING = "failing"  # nothing but failures for as long as the settings say
    CUSTOMER = "customer"  # by a request


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """What a caller says of an endpoint. No event types or channels means every one."""

    destination: Destination
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
    disabled_reason: DisabledReason | None = None
    disabled_at: datetime | None = None


def explained(endpoint: Endpoint, *, before: Endpoint | None) -> Endpoint:
    """The endpoint as a request leaves it, with why and since when it is disabled: by this request, or as before."""
    if not endpoint.disabled:
        return replace(endpoint, disabled_reason=None, disabled_at=None)
    if before is not None and before.disabled:
        return replace(endpoint, disabled_reason=before.disabled_reason, disabled_at=before.disabled_at)
    return replace(endpoint, disabled_reason=DisabledReason.CUSTOMER, disabled_at=endpoint.updated_at)


def wants_trace(metadata: Mapping[str, str]) -> bool:
    """Whether the endpoint of this metadata asks for our trace context; `claims.sql` says it again."""
    return metadata.get(TRACE_WISH) == "true"
