"""Bodies of requests and responses for ordered destinations."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from service.api.schemas.rules import (
    Channel,
    ChannelOut,
    DestinationIdOut,
    DestinationUid,
    DestinationUidOut,
    EventTypeName,
    EventTypeNameOut,
    Metadata,
    MetadataOut,
    Moment,
    PositionOut,
    Received,
    Shown,
    Time,
)
from service.api.schemas.sinks import AnyConfig, SinkConfig, shown_config
from service.application.destinations import Wanted
from service.domain.errors import Invalid
from service.domain.limits import MAX_CHANNELS, MAX_LISTED_VALUES
from service.domain.ordered import MAX_BATCH_SIZE, MAX_WAIT_SECS, OrderedDestination, OrderedStatus
from service.domain.positions import iterator_of
from service.domain.sink_configs import kind_of
from service.domain.sinks import SinkKind

KINDS = ", ".join(f"`{kind.value}`" for kind in SinkKind)
_VALUES = ("uid", "status", "batch_size", "max_wait_secs", "event_types", "channels", "metadata")
_URL = "https://example.com/webhooks"
_EXAMPLE: dict[str, Any] = {"url": _URL, "headers": {"headers": {}, "sensitive": []}, "key": None}


def _settable(status: OrderedStatus) -> OrderedStatus:
    if status is OrderedStatus.RETRYING:
        raise ValueError("A destination is retrying by itself. Set it to enabled, disabled or paused.")
    return status


def _kind(text: str) -> str:
    try:
        return kind_of(text)
    except Invalid as error:
        raise ValueError(error.detail) from None


Type = Annotated[str, AfterValidator(_kind), Field(examples=["fifoEndpoint"], description=f"One of {KINDS}.")]
StatusIn = Annotated[OrderedStatus, AfterValidator(_settable)]
BatchSize = Annotated[int, Field(ge=1, le=MAX_BATCH_SIZE, strict=True, examples=[100])]
MaxWaitSecs = Annotated[int, Field(ge=0, le=MAX_WAIT_SECS, strict=True, examples=[10])]
EventTypes = Annotated[list[EventTypeName], Field(max_length=MAX_LISTED_VALUES)]
Channels = Annotated[list[Channel], Field(max_length=MAX_CHANNELS)]


class DestinationPatch(Received):
    """What shall change. What is absent stays, null clears. `config` is of the destination's own type."""

    uid: DestinationUid | None = None
    status: StatusIn | None = None
    batch_size: BatchSize | None = None
    max_wait_secs: MaxWaitSecs | None = None
    event_types: EventTypes | None = None
    channels: Channels | None = None
    metadata: Metadata | None = None
    type: Type | None = None
    config: AnyConfig | None = Field(default=None, examples=[{"url": _URL}])
    start_at: Moment | None = None

    def wanted(self) -> Wanted:
        """The fields that are present, in the domain's names and types."""
        if isinstance(self.config, SinkConfig) and self.type is None:
            raise Invalid("A configuration is of a type. Say which.", field=("type",))
        said = {name: _frozen(getattr(self, name)) for name in self.model_fields_set.intersection(_VALUES)}
        return Wanted(
            kind=None if self.type is None else SinkKind(self.type),
            config=self.config.said() if isinstance(self.config, SinkConfig) else {},
            values=said,
            start_at=self.start_at,
        )


class DestinationIn(DestinationPatch):
    """A destination, to which an application's messages go in the order of their acceptance, in batches."""

    type: Type
    config: AnyConfig = Field(default_factory=dict, examples=[{"url": _URL}])


class DestinationOut(Shown):
    """A destination as it stands. Its signing secret has a route of its own."""

    id: DestinationIdOut
    uid: DestinationUidOut | None
    status: OrderedStatus
    current_iterator: PositionOut
    waiting: int = Field(
        description="How many messages were accepted since, wanted by it or not; 0 where it is polled.", examples=[0]
    )
    failure_reason: str | None = Field(examples=["It answered 500."])
    next_retry_at: Time | None
    batch_size: int = Field(examples=[1])
    max_wait_secs: int = Field(examples=[0])
    event_types: list[EventTypeNameOut] | None
    channels: list[ChannelOut] | None
    metadata: MetadataOut
    type: SinkKind
    config: dict[str, Any] = Field(examples=[_EXAMPLE])
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, destination: OrderedDestination, *, head: int) -> "DestinationOut":
        """The response for a destination of an application whose last message is at `head`."""
        is_polled = destination.sink.kind is SinkKind.POLLING
        return cls(
            id=destination.id,
            uid=destination.uid,
            status=destination.shown_status,
            current_iterator=iterator_of(destination.app_id, destination.position),
            waiting=0 if is_polled else max(head - destination.position, 0),
            failure_reason=destination.failure_reason,
            next_retry_at=destination.next_retry_at,
            batch_size=destination.batch_size,
            max_wait_secs=destination.max_wait_secs,
            event_types=_thawed(destination.event_types),
            channels=_thawed(destination.channels),
            metadata=dict(destination.metadata),
            type=destination.sink.kind,
            config=shown_config(destination.sink),
            created_at=destination.created_at,
            updated_at=destination.updated_at,
        )


class DestinationSecretOut(Shown):
    """The current signing secret of a destination of the type `fifoEndpoint`."""

    key: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])


def _frozen(value: Any) -> Any:
    """Lists as tuples; an empty one wants everything, as null does."""
    return (tuple(value) or None) if isinstance(value, list) else value


def _thawed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)
