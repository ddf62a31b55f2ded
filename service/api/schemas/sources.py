"""Bodies of requests and responses for sources, the brokers that messages come in from."""

from typing import Any, Self

from pydantic import Field, model_validator

from service.api.schemas.brokers import (
    AmqpUri,
    BrokerName,
    Certificate,
    KafkaServers,
    NatsName,
    NatsServers,
    SaslMechanism,
    Subject,
    Topic,
)
from service.api.schemas.rules import (
    EventTypeName,
    EventTypeNameOut,
    GivenName,
    Received,
    Shown,
    Switch,
    SwitchedOn,
    Time,
)
from service.application.sources import ReadSource
from service.domain.sources import (
    ORIGINS,
    NewSource,
    Origin,
    Reading,
    SourceFault,
    SourceKind,
)

_KINDS = tuple(kind.value for kind in SourceKind)


class NatsSourceIn(Received):
    """A JetStream stream. Its durable pull consumer is created if it does not exist."""

    servers: NatsServers
    stream: NatsName = Field(examples=["EVENTS"])
    consumer: NatsName = Field(default="relevo", examples=["relevo"])
    subject: Subject | None = Field(default=None, examples=["events.>"])
    dead_letter: Subject | None = Field(default=None, examples=["events.refused"])
    ssl_root_cert: Certificate | None = None
    username: BrokerName | None = Field(default=None, examples=["relevo"])
    password: BrokerName | None = Field(default=None, examples=["hush"])
    token: BrokerName | None = Field(default=None, examples=["hush"])


class KafkaSourceIn(Received):
    """A topic, read by a consumer group, from its beginning at first."""

    bootstrap_servers: KafkaServers
    topic: Topic = Field(examples=["events"])
    group: BrokerName = Field(default="relevo", examples=["relevo"])
    dead_letter: Topic | None = Field(default=None, examples=["events.refused"])
    tls: Switch = False
    ssl_root_cert: Certificate | None = None
    sasl_mechanism: SaslMechanism | None = None
    username: BrokerName | None = Field(default=None, examples=["relevo"])
    password: BrokerName | None = Field(default=None, examples=["hush"])


class RabbitMqSourceIn(Received):
    """A queue, which has to exist."""

    uri: AmqpUri
    queue: BrokerName = Field(examples=["events"])
    dead_letter: BrokerName | None = Field(default=None, examples=["events.refused"])
    ssl_root_cert: Certificate | None = None


class _Brokers(Received):
    nats: NatsSourceIn | None = None
    kafka: KafkaSourceIn | None = None
    rabbitmq: RabbitMqSourceIn | None = None

    @property
    def _said(self) -> list[Origin]:
        """The brokers that the body names, each by its fields in the domain's words."""
        return [maker(**_fields(broker)) for kind, maker in ORIGINS.items() if (broker := getattr(self, kind.value))]


class SourceIn(_Brokers):
    """A new source: the broker in the field of its kind, and what every message of it is, whatever it says itself."""

    name: BrokerName = Field(examples=["the shop's events"])
    application: GivenName | None = Field(default=None, examples=["customer-42"])
    event_type: EventTypeName | None = None
    enabled: SwitchedOn = True

    @model_validator(mode="after")
    def _one_broker(self) -> Self:
        if len(self._said) != 1:
            raise ValueError(f"A source has one of {', '.join(_KINDS)}.")
        return self

    def new(self) -> NewSource:
        """The body as the domain's NewSource."""
        (origin,) = self._said
        return NewSource(
            name=self.name,
            origin=origin,
            application=self.application,
            event_type=self.event_type,
            enabled=self.enabled,
        )


class SourcePatch(_Brokers):
    """What shall change. What is absent stays, null clears; a broker is replaced as a whole, credentials too."""

    name: BrokerName = Field(default="", examples=["the shop's events"])
    application: GivenName | None = Field(default=None, examples=["customer-42"])
    event_type: EventTypeName | None = None
    enabled: SwitchedOn = True

    @model_validator(mode="after")
    def _one_broker(self) -> Self:
        if len(self._said) > 1:
            raise ValueError(f"A source has one of {', '.join(_KINDS)}.")
        return self

    def changes(self) -> dict[str, Any]:
        """The fields that are present, by the domain's names."""
        plain = {name: getattr(self, name) for name in self.model_fields_set if name not in _KINDS}
        return plain | ({"origin": self._said[0]} if self._said else {})


class NatsSourceOut(Shown):
    """A JetStream stream, without credentials."""

    servers: list[str] = Field(examples=[["nats://nats.example.com:4222"]])
    stream: str = Field(examples=["EVENTS"])
    consumer: str = Field(examples=["relevo"])
    subject: str | None = Field(examples=["events.>"])
    dead_letter: str | None = Field(examples=["events.refused"])
    ssl_root_cert: str | None = Field(examples=["-----BEGIN CERTIFICATE-----\n..."])
    username: str | None = Field(examples=["relevo"])


class KafkaSourceOut(Shown):
    """A topic, without credentials."""

    bootstrap_servers: list[str] = Field(examples=[["kafka.example.com:9092"]])
    topic: str = Field(examples=["events"])
    group: str = Field(examples=["relevo"])
    dead_letter: str | None = Field(examples=["events.refused"])
    tls: bool
    ssl_root_cert: str | None = Field(examples=["-----BEGIN CERTIFICATE-----\n..."])
    sasl_mechanism: str | None = Field(examples=["SCRAM-SHA-512"])
    username: str | None = Field(examples=["relevo"])


class RabbitMqSourceOut(Shown):
    """A queue. Its URI is a credential."""

    queue: str = Field(examples=["events"])
    dead_letter: str | None = Field(examples=["events.refused"])
    ssl_root_cert: str | None = Field(examples=["-----BEGIN CERTIFICATE-----\n..."])


class SourceStateOut(Shown):
    """How the source is read, by all processes together."""

    status: Reading = Field(examples=["running"])
    reason: str | None = Field(examples=["nobody listens there"])
    lag: int | None = Field(examples=[12])
    readers: int = Field(examples=[2])


class SourceOut(Shown):
    """A source, without its credentials, and how it is read."""

    id: str = Field(examples=["src_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    name: str = Field(examples=["the shop's events"])
    kind: SourceKind = Field(examples=["nats"])
    nats: NatsSourceOut | None = None
    kafka: KafkaSourceOut | None = None
    rabbitmq: RabbitMqSourceOut | None = None
    application: str | None = Field(examples=["customer-42"])
    event_type: EventTypeNameOut | None
    enabled: bool
    state: SourceStateOut
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, read: ReadSource) -> "SourceOut":
        """The response for a source."""
        source, state = read.source, read.state
        return cls.model_validate(
            {
                "id": source.id,
                "name": source.name,
                "kind": source.kind,
                source.kind.value: dict(source.place),
                "application": source.application,
                "event_type": source.event_type,
                "enabled": source.enabled,
                "state": SourceStateOut(status=state.state, reason=state.reason, lag=state.lag, readers=state.readers),
                "created_at": source.created_at,
                "updated_at": source.updated_at,
            }
        )


class SourceFaultOut(Shown):
    """A message that was refused for good, with what it said of itself. Its body is not kept."""

    id: str = Field(examples=["sflt_1srOrx2ZWZBpBUvZwXKQmoEYga2"])
    position: str = Field(examples=["events-0-1042"])
    application: str | None = Field(examples=["customer-42"])
    event_type: EventTypeNameOut | None
    event_id: str | None = Field(examples=["invoice-42-paid"])
    code: str = Field(examples=["value_error"])
    detail: str = Field(examples=["Payload must be an object."])
    created_at: Time

    @classmethod
    def of(cls, fault: SourceFault) -> "SourceFaultOut":
        """The response for a refused message."""
        return cls(
            id=fault.id,
            position=fault.position,
            application=fault.application,
            event_type=fault.event_type,
            event_id=fault.event_id,
            code=fault.code,
            detail=fault.detail,
            created_at=fault.created_at,
        )


def _fields(broker: Received) -> dict[str, Any]:
    values = {name: getattr(broker, name) for name in type(broker).model_fields}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
