"""The kinds of ordered destination: where each one's messages go, and what of that may be shown.

How to reach a kind is known to its sender alone. Passwords and keys are credentials: they are stored encrypted, and
never shown, logged or traced; `public` has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar


class SinkKind(StrEnum):
    """The words are the API's. `kafka` and `nats` are ours; the official SDKs know the others."""

    FIFO = "fifoEndpoint"
    POLLING = "pollingEndpoint"
    RABBITMQ = "rabbitMq"
    POSTGRES = "postgres"
    S3 = "amazonS3"
    KAFKA = "kafka"
    NATS = "nats"


@dataclass(frozen=True, slots=True, kw_only=True)
class FifoSink:
    """A receiver of webhooks that has one batch at a time.

    With a `key` (the name of a field of the payload, with dots for fields within) order is kept per value of that
    field, and values go side by side.
    """

    kind: ClassVar = SinkKind.FIFO
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingSink:
    """A receiver that fetches its messages itself."""

    kind: ClassVar = SinkKind.POLLING


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMqSink:
    """The default exchange of a virtual host, or `exchange`. `uri` as in amqp://user:password@host:5672/%2F.

    `mandatory`: a message that no queue gets is refused, not dropped.
    """

    kind: ClassVar = SinkKind.RABBITMQ
    uri: str = field(repr=False)
    routing_key: str
    exchange: str = ""
    mandatory: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSink:
    """A table of the customer's: one row a message, one transaction a batch. The URL has no password."""

    kind: ClassVar = SinkKind.POSTGRES
    url: str
    table_name: str
    password: str | None = field(default=None, repr=False)
    ssl_root_cert: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Sink:
    """A bucket: one object a batch. Without an `endpoint_url` it is Amazon's."""

    kind: ClassVar = SinkKind.S3
    bucket: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSink:
    """A topic. `key` is the name of a field of the payload whose value is the record's key; without one it is the
    application's id, so that all messages stay in one partition, in order. `sasl_mechanism` is PLAIN, SCRAM-SHA-256 or
    SCRAM-SHA-512."""

    kind: ClassVar = SinkKind.KAFKA
    bootstrap_servers: tuple[str, ...]
    topic: str
    key: str | None = None
    tls: bool = False
    ssl_root_cert: str | None = None
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsSink:
    """A subject of a JetStream stream. `servers` are URLs like nats://host:4222 or tls://host:4222, without
    credentials."""

    kind: ClassVar = SinkKind.NATS
    servers: tuple[str, ...]
    subject: str
    ssl_root_cert: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


Sink = FifoSink | PollingSink | RabbitMqSink | PostgresSink | S3Sink | KafkaSink | NatsSink
PushedSink = FifoSink | RabbitMqSink | PostgresSink | S3Sink | KafkaSink | NatsSink


def key_of(sink: Sink) -> str | None:
    """The field of the payload by whose values messages go side by side; None where all go one after the other."""
    return sink.key if isinstance(sink, FifoSink) else None
