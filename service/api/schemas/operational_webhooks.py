"""Bodies of requests and responses for operational endpoints, which belong to the organisation itself."""

from dataclasses import replace

from pydantic import Field

from service.api.schemas.endpoints import DISABLED_AT, REASON, EndpointIn, EndpointUpsertIn, common
from service.api.schemas.rules import (
    DescriptionOut,
    EndpointIdOut,
    EndpointUidOut,
    EventTypeNameOut,
    MetadataOut,
    RateOut,
    Shown,
    Time,
    UrlOut,
)
from service.domain.endpoints import DisabledReason, Endpoint, NewEndpoint


class OperationalWebhookEndpointUpsertIn(EndpointUpsertIn):
    """What a caller says of an operational endpoint, all but its secret. Its messages have no channels."""

    def new(self) -> NewEndpoint:
        """The body in the domain's types."""
        return replace(super().new(), channels=None)


class OperationalWebhookEndpointIn(EndpointIn):
    """A new operational endpoint. Without a secret it gets one of its own."""

    def new(self) -> NewEndpoint:
        """The body in the domain's types."""
        return replace(super().new(), channels=None)


class OperationalWebhookEndpointOut(Shown):
    """An operational endpoint: where an organisation is told of its customers' endpoints."""

    id: EndpointIdOut
    url: UrlOut
    description: DescriptionOut
    uid: EndpointUidOut | None
    disabled: bool
    rate_limit: RateOut | None
    throttle_rate: RateOut | None
    event_types: list[EventTypeNameOut] | None
    filter_types: list[EventTypeNameOut] | None
    metadata: MetadataOut
    disabled_reason: DisabledReason | None = Field(description=REASON)
    disabled_at: Time | None = Field(description=DISABLED_AT)
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, endpoint: Endpoint) -> "OperationalWebhookEndpointOut":
        """The response for an endpoint."""
        return cls(**common(endpoint), metadata=endpoint.metadata)
