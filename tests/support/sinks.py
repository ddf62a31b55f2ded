"""Configurations of ordered destinations, as callers may write them: one of each kind, and what goes without that."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.domain.sinks import SinkKind

CONFIGS: Mapping[SinkKind, dict[str, Any]] = {
    SinkKind.FIFO: {"url": "http://127.0.0.1:9/", "headers": {"Authorization": "Bearer hidden"}, "key": "customer.id"},
    SinkKind.POLLING: {},
    SinkKind.RABBITMQ: {
        "uri": "amqp://user:hidden@127.0.0.1:5672/%2F",
        "routing_key": "orders",
        "exchange": "events",
        "mandatory": False,
    },
    SinkKind.POSTGRES: {
        "url": "postgres://user@127.0.0.1:5432/customers?sslmode=prefer",
        "table_name": "public.events",
        "password": "hidden",
    },
    SinkKind.S3: {
        "bucket": "events.of-customers",
        "region": "eu-central-1",
        "access_key_id": "AKIA",
        "secret_access_key": "hidden",
        "endpoint_url": "http://127.0.0.1:9000",
    },
    SinkKind.KAFKA: {
        "bootstrap_servers": ["127.0.0.1:9092", "127.0.0.2:9092"],
        "topic": "events",
        "key": "customer.id",
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": "user",
        "password": "hidden",
    },
    SinkKind.NATS: {
        "servers": ["nats://127.0.0.1:4222"],
        "subject": "events.orders",
        "username": "user",
        "password": "hidden",
    },
}
# With what the one of its kind cannot have beside the rest.
EXAMPLES: Sequence[tuple[SinkKind, dict[str, Any]]] = (
    *CONFIGS.items(),
    (SinkKind.NATS, {"servers": ["nats://127.0.0.1:4222"], "subject": "events.orders", "token": "hidden"}),
)
