"""Bodies of requests and responses for endpoints and their secrets."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field

from service.api.schemas.headers import Headers
from service.api.schemas.rules import (
    ChannelOut,
    Channels,
    DescriptionOut,
    EndpointIdOut,
    EndpointUid,
    EndpointUidOut,
    EventTypeName,
    EventTypeNameOut,
    Metadata,
    MetadataOut,
    OptionalText,
    Rate,
    RateOut,
    Received,
    Shown,
    Switch,
    Time,
    UrlOut,
    Version,
    VersionOut,
    WebUrl,
)
from service.domain import signatures
from service.domain.destinations import HttpDestination
from service.domain.endpoints import DisabledReason, Endpoint, NewEndpoint
from service.domain.health import DISABLE_AFTER
from service.domain.limits import MAX_LISTED_VALUES
from service.domain.signatures import DEFAULT_GRACE, MAX_GRACE, Secret

_MAX_GRACE_S, _DEFAULT_GRACE_S = (int(grace.total_seconds()) for grace in (MAX_GRACE, DEFAULT_GRACE))

REASON = (
    f"Why it is disabled: `gone`, it answered 410; `failing`, nothing but failures for {DISABLE_AFTER.days} days, or as"
    " long as the installation says; `customer`, by a request. Null when it is enabled, or was disabled before this was"
    " kept."
)
DISABLED_AT = "Since when it is disabled."

_RATE = AliasChoices("throttleRate", "rateLimit")
_TYPES = AliasChoices("eventTypes", "filterTypes")


def _secret(text: str) -> str:
    signatures.parse(text)
    return text


EventTypes = Annotated[list[EventTypeName], Field(min_length=1, max_length=MAX_LISTED_VALUES)]
SecretText = Annotated[str, AfterValidator(_secret), Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])]


class EndpointUpsertIn(Received):
    """What a caller says of an endpoint, all but its secret."""

    url: WebUrl
    description: OptionalText = ""
    throttle_rate: Rate | None = Field(default=None, validation_alias=_RATE, description="Messages per second.")
    uid: EndpointUid | None = None
    version: Version = 1
    disabled: Switch = False
    event_types: EventTypes | None = Field(default=None, validation_alias=_TYPES)
    channels: Channels | None = None
    metadata: Metadata = Field(default_factory=dict)

    def new(self) -> NewEndpoint:
        """The body as the domain's NewEndpoint."""
        return NewEndpoint(**_said(self, EndpointUpsertIn.model_fields))


class EndpointIn(EndpointUpsertIn):
    """A new endpoint. Without a secret it gets one of its own."""

    secret: SecretText | None = None
    headers: Headers = Field(default_factory=dict)

    @property
    def own_secret(self) -> Secret | None:
        """The secret, if the caller chose one."""
        return None if self.secret is None else signatures.parse(self.secret)


class EndpointPatch(Received):
    """What shall change. What is absent stays, null clears."""

    url: WebUrl = Field(default=None, validate_default=False)  # type: ignore[assignment] # never read when absent
    description: OptionalText = ""
    throttle_rate: Rate | None = Field(default=None, validation_alias=_RATE)
    uid: EndpointUid | None = None
    version: Version = 1
    disabled: Switch = False
    event_types: EventTypes | None = Field(default=None, validation_alias=_TYPES)
    channels: Channels | None = None
    metadata: Metadata = Field(default_factory=dict)

    def changes(self) -> dict[str, Any]:
        """The fields that are present, in the domain's names and types."""
        return _said(self, self.model_fields_set)


class EndpointCommon(Shown):
    """What every view of an endpoint has."""

    id: EndpointIdOut
    url: UrlOut
    description: DescriptionOut
    uid: EndpointUidOut | None
    version: VersionOut
    disabled: bool
    rate_limit: RateOut | None
    throttle_rate: RateOut | None
    event_types: list[EventTypeNameOut] | None
    filter_types: list[EventTypeNameOut] | None
    channels: list[ChannelOut] | None
    disabled_reason: DisabledReason | None = Field(description=REASON)
    disabled_at: Time | None = Field(description=DISABLED_AT)
    created_at: Time
    updated_at: Time


class EndpointOut(EndpointCommon):
    """An endpoint. Its secret and headers have routes of their own."""

    metadata: MetadataOut

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointOut":
        """The response for an endpoint."""
        return cls(**common(endpoint), metadata=endpoint.metadata)


class EndpointSecretOut(Shown):
    """The current signing secret."""

    key: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])


class EndpointSecretRotateIn(Received):
    """A new secret, or none to have one made, and for how long the old one stays good."""

    key: SecretText | None = None
    grace_period_seconds: Annotated[
        int,
        Field(ge=0, le=_MAX_GRACE_S, strict=True),
        BeforeValidator(lambda value: _DEFAULT_GRACE_S if value is None else value),
    ] = _DEFAULT_GRACE_S

    @property
    def own_secret(self) -> Secret | None:
        """The new secret, if the caller chose one."""
        return None if self.key is None else signatures.parse(self.key)

    @property
    def grace(self) -> timedelta:
        """How long the old secret goes on signing."""
        return timedelta(seconds=self.grace_period_seconds)


def common(endpoint: Endpoint) -> dict[str, Any]:
    """The fields of all views of an endpoint, with both names of those that have two. A view ignores what it lacks."""
    types = None if endpoint.event_types is None else list(endpoint.event_types)
    return {
        "id": endpoint.id,
        "url": endpoint.destination.shown,
        "description": endpoint.description,
        "uid": endpoint.uid,
        "version": endpoint.version,
        "disabled": endpoint.disabled,
        "rate_limit": endpoint.throttle_rate,
        "throttle_rate": endpoint.throttle_rate,
        "event_types": types,
        "filter_types": types,
        "channels": None if endpoint.channels is None else list(endpoint.channels),
        "disabled_reason": endpoint.disabled_reason,
        "disabled_at": endpoint.disabled_at,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


def _said(body: EndpointUpsertIn | EndpointPatch, names: Iterable[str]) -> dict[str, Any]:
    """The fields with these names, in the domain's names and types."""
    said = {name: getattr(body, name) for name in names}
    for name in {"event_types", "channels"} & said.keys():
        said[name] = None if said[name] is None else tuple(said[name])
    if "url" in said:
        said["destination"] = HttpDestination(url=str(said.pop("url")))
    return said
