"""Where ordered destinations are called, whether in the clear, and what is shown of a URI."""

from typing import Any

import pytest

from service.domain.headers import MASK
from service.domain.sink_addresses import ADDRESS, addresses, is_encrypted, is_for_same, is_masked, masked, unmasked
from service.domain.sink_configs import sink_of
from service.domain.sinks import PushedSink, SinkKind
from tests.support.sinks import CONFIGS

PG = "postgres://user@host:5432/database"

FIFO, RABBITMQ, POSTGRES = SinkKind.FIFO, SinkKind.RABBITMQ, SinkKind.POSTGRES
S3, KAFKA, NATS = SinkKind.S3, SinkKind.KAFKA, SinkKind.NATS


def test_whatever_is_sent_to_has_addresses_without_credentials() -> None:
    found = {}
    for kind in ADDRESS:
        sink = sink_of(kind, CONFIGS[kind])
        assert isinstance(sink, PushedSink)
        found[kind] = addresses(sink)

    assert found == {
        FIFO: ("http://127.0.0.1:9/",),
        RABBITMQ: ("amqp://127.0.0.1:5672",),
        POSTGRES: ("postgres://127.0.0.1:5432",),
        S3: ("http://127.0.0.1:9000",),
        KAFKA: ("kafka://127.0.0.1:9092", "kafka://127.0.0.2:9092"),
        NATS: ("nats://127.0.0.1:4222",),
    }


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("amqp://user:password@host:5672/%2F", f"amqp://user:{MASK}@host:5672/%2F"),
        ("amqp://user:@host", f"amqp://user:{MASK}@host"),
        ("amqps://user:a%40b@[::1]:5671/a", f"amqps://user:{MASK}@[::1]:5671/a"),
        ("amqp://user@host/", "amqp://user@host/"),
        ("amqp://host", "amqp://host"),
    ],
)
def test_a_uri_is_shown_without_its_password(uri: str, shown: str) -> None:
    assert masked(uri) == shown
    assert is_masked(shown) is (MASK in shown)
    assert unmasked(shown, uri) == uri


def test_a_password_is_for_one_user_at_one_address() -> None:
    known = "amqp://user:password@Host:5672/%2F"

    assert is_for_same(f"amqp://user:{MASK}@host:5672/another", known)
    for other in ("amqps://user:x@host:5672/", "amqp://another:x@host:5672/", "amqp://user:x@host/", "amqp://[::1"):
        assert not is_for_same(other, known)


@pytest.mark.parametrize(
    ("kind", "name", "clear", "encrypted"),
    [
        (FIFO, "url", "http://host/", "https://host/"),
        (RABBITMQ, "uri", "amqp://host/", "amqps://host/"),
        (POSTGRES, "url", f"{PG}?sslmode=prefer", f"{PG}?sslmode=require"),
        (S3, "endpoint_url", "http://host", None),
        (KAFKA, "tls", False, True),
        (NATS, "servers", ["tls://a", "nats://b"], ["tls://a", "tls://b"]),
    ],
)
def test_each_kind_tells_whether_it_is_encrypted(kind: SinkKind, name: str, clear: Any, encrypted: Any) -> None:
    for value, expected in ((clear, False), (encrypted, True)):
        sink = sink_of(kind, CONFIGS[kind] | {name: value})
        assert isinstance(sink, PushedSink)
        assert is_encrypted(sink) is expected
