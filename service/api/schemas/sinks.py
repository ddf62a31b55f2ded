"""The configuration of each type of destination, in requests and answers. Whether it can work, the domain says."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AnyUrl, Field, StringConstraints, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.alias_generators import to_camel

from service.api.schemas.headers import EndpointHeadersOut, Headers
from service.api.schemas.rules import Name, Received, Text, WebUrl
from service.domain.limits import (
    MAX_ADDRESS_CHARACTERS,
    MAX_CERTIFICATE_CHARACTERS,
    MAX_CREDENTIAL_CHARACTERS,
    MAX_FIELD_CHARACTERS,
    MAX_SERVERS,
)
from service.domain.sink_configs import public
from service.domain.sinks import FifoSink, Sink, SinkKind

_MASKED = "Of its password you are shown `***`; sent back so, it stays."
_HIDDEN = "Never shown; it stays until it is said again."
_AUTHORITY = "Certificates in PEM, of authorities to trust besides those that everybody trusts."
_KEY = "The name of a field of the payload, or of one within others, as in `customer.id`"
_NEEDED = "Needed."

Address = Annotated[Text, StringConstraints(max_length=MAX_ADDRESS_CHARACTERS)]
Credential = Annotated[Text, StringConstraints(max_length=MAX_CREDENTIAL_CHARACTERS)]
FieldPath = Annotated[Name, StringConstraints(max_length=MAX_FIELD_CHARACTERS), Field(examples=["customer.id"])]
Certificate = Annotated[
    str, StringConstraints(max_length=MAX_CERTIFICATE_CHARACTERS), Field(examples=["-----BEGIN CERTIFICATE-----..."])
]
Password = Annotated[Credential, Field(examples=["correct horse"])]
User = Annotated[Credential, Field(examples=["relevo"])]
Servers = Annotated[list[Address], Field(max_length=MAX_SERVERS)]


class SinkConfig(Received):
    """A configuration, or what is to change of one."""

    def said(self) -> dict[str, Any]:
        """The values that are present, by the names of the sink's fields."""
        return {name: _plain(getattr(self, name)) for name in self.model_fields_set}


class FifoEndpointConfig(SinkConfig):
    """A receiver of webhooks over HTTP, which has one batch at a time, signed."""

    url: WebUrl | None = Field(default=None, description=f"Where it is called: http or https. {_NEEDED}")
    headers: Headers = Field(default_factory=dict)
    key: FieldPath | None = Field(
        default=None, description=f"{_KEY}: order is kept for each of its values, and values go side by side."
    )


class RabbitMqConfig(SinkConfig):
    """A RabbitMQ, to which messages are published with confirms."""

    uri: Address | None = Field(
        default=None,
        description=f"With the virtual host percent-escaped. {_NEEDED} {_MASKED}",
        examples=["amqp://user:password@rabbitmq.example.com:5672/%2F"],
    )
    routing_key: Text | None = Field(
        default=None, description=f"What queues are bound by. {_NEEDED}", examples=["events"]
    )
    exchange: Text | None = Field(
        default=None,
        description="The exchange to publish to; the default one when it is left out.",
        examples=["events"],
    )
    mandatory: bool | None = Field(
        default=None,
        strict=True,
        description="Whether a message that no queue gets is an error; it is when this is left out.",
    )


class PostgresConfig(SinkConfig):
    """A table of a PostgreSQL: one row for each message, one transaction for each batch."""

    url: Address | None = Field(
        default=None,
        description=f"With user and database, and without the password. {_NEEDED}",
        examples=["postgres://relevo@db.example.com:5432/customers?sslmode=require"],
    )
    password: Password | None = Field(default=None, description=f"The password. {_HIDDEN}")
    table_name: Text | None = Field(
        default=None, description=f"The table, with its schema or without. {_NEEDED}", examples=["public.events"]
    )
    ssl_root_cert: Certificate | None = Field(default=None, description=_AUTHORITY)


class AmazonS3Config(SinkConfig):
    """A bucket of Amazon S3 or of anything that speaks like it: one object for each batch, NDJSON in gzip."""

    bucket: Text | None = Field(default=None, description=f"The bucket's name. {_NEEDED}", examples=["events"])
    access_key_id: User | None = Field(default=None, description=f"The key's name. {_NEEDED}")
    secret_access_key: Password | None = Field(default=None, description=f"The key. {_NEEDED} {_HIDDEN}")
    region: Text | None = Field(default=None, description=f"The bucket's region. {_NEEDED}", examples=["eu-central-1"])
    endpoint_url: Address | None = Field(
        default=None,
        description="Where it is called; at Amazon when it is left out.",
        examples=["https://s3.example.com"],
    )


class KafkaConfig(SinkConfig):
    """A topic of Apache Kafka, to which records are produced idempotently, acknowledged by all replicas."""

    bootstrap_servers: Servers | None = Field(
        default=None,
        description=f"Servers of the cluster, by host and port. {_NEEDED}",
        examples=[["kafka.example.com:9092"]],
    )
    topic: Text | None = Field(default=None, description=f"The topic's name. {_NEEDED}", examples=["events"])
    key: FieldPath | None = Field(
        default=None, description=f"{_KEY}: its value is the record's key. Without one it is the application's id."
    )
    tls: bool | None = Field(default=None, strict=True, description="Whether the servers are called with TLS.")
    ssl_root_cert: Certificate | None = Field(default=None, description=_AUTHORITY)
    sasl_mechanism: Text | None = Field(
        default=None, description="How to sign in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.", examples=["SCRAM-SHA-512"]
    )
    username: User | None = Field(default=None, description="Who signs in.")
    password: Password | None = Field(default=None, description=f"The user's password. {_HIDDEN}")


class NatsConfig(SinkConfig):
    """A subject of NATS JetStream, to which messages are published and acknowledged."""

    servers: Servers | None = Field(
        default=None,
        description=f"Servers of the cluster, without credentials. {_NEEDED}",
        examples=[["tls://nats.example.com:4222"]],
    )
    subject: Text | None = Field(
        default=None, description=f"The subject, without wildcards. {_NEEDED}", examples=["events"]
    )
    ssl_root_cert: Certificate | None = Field(default=None, description=_AUTHORITY)
    username: User | None = Field(default=None, description="Who signs in, where it is by a password.")
    password: Password | None = Field(default=None, description=f"The user's password. {_HIDDEN}")
    token: Password | None = Field(default=None, description=f"In place of a user and a password. {_HIDDEN}")


class NothingToConfigure(SinkConfig):
    """A polling endpoint needs no configuration."""


CONFIGS: Mapping[str, type[SinkConfig]] = {
    SinkKind.FIFO: FifoEndpointConfig,
    SinkKind.POLLING: NothingToConfigure,
    SinkKind.RABBITMQ: RabbitMqConfig,
    SinkKind.POSTGRES: PostgresConfig,
    SinkKind.S3: AmazonS3Config,
    SinkKind.KAFKA: KafkaConfig,
    SinkKind.NATS: NatsConfig,
}


def _by_type(value: Any, _handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """The configuration, read as one of the type that the same body names; as none where that is what is wrong."""
    model = CONFIGS.get(info.data.get("type") or "", NothingToConfigure)
    return model.model_validate({} if value is None else value)


AnyConfig = Annotated[
    FifoEndpointConfig | RabbitMqConfig | PostgresConfig | AmazonS3Config | KafkaConfig | NatsConfig | dict[str, Any],
    WrapValidator(_by_type),
]


def shown_config(sink: Sink) -> dict[str, Any]:
    """The configuration as it is answered, without credentials; of a receiver's headers as endpoints show theirs."""
    shown = public(sink)
    if isinstance(sink, FifoSink):
        shown["headers"] = EndpointHeadersOut.of(dict(sink.headers)).model_dump()
    return {to_camel(name): value for name, value in shown.items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, AnyUrl) else value
