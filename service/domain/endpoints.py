"""An endpoint: a destination of an application, and which of its messages it wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from service.domain.destinations import Destination
from service.domain.ids import ApplicationId, EndpointId, OrgId

TRACE_METADATA_KEY = "relevo.traceparent"  # an endpoint with this metadata gets our trace context


class DisabledReason(StrEnum):
    """Why an endpoint is disabled; the words are the API's."""

    GONE = "gone"  # it answered 410
    FAILING = "failing"  # only failures for as long as RELEVO_DISABLE_AFTER
    CUSTOMER = "customer"  # by a request


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """The fields of an endpoint that a caller sets. None as event types or channels means all."""

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
    """An endpoint as stored. Its secrets and headers are read separately, never with it."""

    id: EndpointId
    app_id: ApplicationId
    org_id: OrgId
    created_at: datetime
    updated_at: datetime
    disabled_reason: DisabledReason | None = None
    disabled_at: datetime | None = None


def explained(endpoint: Endpoint, *, before: Endpoint | None) -> Endpoint:
    """The endpoint after a request, with the reason and time of its disabling: this request's, or the earlier ones."""
    if not endpoint.disabled:
        return replace(endpoint, disabled_reason=None, disabled_at=None)
    if before is not None and before.disabled:
        return replace(endpoint, disabled_reason=before.disabled_reason, disabled_at=before.disabled_at)
    return replace(endpoint, disabled_reason=DisabledReason.CUSTOMER, disabled_at=endpoint.updated_at)


def wants_trace(metadata: Mapping[str, str]) -> bool:
    """Whether an endpoint with this metadata asks for our trace context; `claims.sql` repeats this rule."""
    return metadata.get(TRACE_METADATA_KEY) == "true"
