"""What the configuration of each kind of ordered destination has to be."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import Invalid
from service.domain.headers import MASK
from service.domain.limits import MAX_ADDRESS_CHARACTERS, MAX_CERTIFICATE_CHARACTERS, MAX_SERVERS
from service.domain.sink_configs import sink_of
from service.domain.sink_rules import are_certificates
from service.domain.sinks import SinkKind
from tests.support.certificates import self_signed
from tests.support.sinks import CONFIGS

PG = "postgres://user@host:5432/database"

FIFO, RABBITMQ, POSTGRES = SinkKind.FIFO, SinkKind.RABBITMQ, SinkKind.POSTGRES
S3, KAFKA, NATS = SinkKind.S3, SinkKind.KAFKA, SinkKind.NATS


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *((FIFO, "url", value) for value in (None, "ftp://host/", "https://host/" + "x" * 65_536)),
        *((FIFO, "key", value) for value in ("", "a..b", ".a", "a.", "a\n", "x" * 257, "a.b.c.d.e.f.g.h.i")),
        (FIFO, "headers", {"X-A": "1", "x-a": "2"}),
        *((RABBITMQ, "uri", value) for value in (None, "http://host/", "amqp://", "amqp:///%2F", "amqp://[::1")),
        *(
            (RABBITMQ, "uri", value)
            for value in ("amqp://host:0/", "amqp://host:99999/", "amqp://a b/", "amqp://h/a/b")
        ),
        *(
            (RABBITMQ, "uri", value)
            for value in ("amqp://host/?cafile=/etc/passwd", "amqp://host/#a", "amqp://h\u00f6st")
        ),
        *(
            (RABBITMQ, "uri", value)
            for value in (f"amqp://user:{MASK}@host/", "amqp://h/" + "x" * MAX_ADDRESS_CHARACTERS)
        ),
        *((RABBITMQ, "routing_key", value) for value in (None, "x" * 256, "\u00e9" * 128, "a\0")),
        (RABBITMQ, "exchange", "x" * 256),
        *((POSTGRES, "url", value) for value in (None, "mysql://user@host/db", "postgres://user:password@host/db")),
        *((POSTGRES, "url", value) for value in ("postgres://host/db", "postgres://user@host", "postgres://user@/db")),
        *((POSTGRES, "url", f"{PG}?{query}") for query in ("sslmode=on", "sslkey=/etc/key", "host=/run", "sslmode=")),
        *((POSTGRES, "table_name", value) for value in (None, "", "a.b.c", 'a"b', "a'b", ".a", "a.", "x" * 64, "a\0")),
        *((POSTGRES, "password", value) for value in ("", "a\0b", "x" * 4097)),
        *((POSTGRES, "ssl_root_cert", value) for value in ("", "nonsense", "x" * (MAX_CERTIFICATE_CHARACTERS + 1))),
        *((S3, "bucket", value) for value in (None, "ab", "A-Bucket", "a_b_c", "-abc", "x" * 64, "a/b/c")),
        *((S3, "region", value) for value in (None, "", "eu central", "x" * 65)),
        *((S3, name, None) for name in ("access_key_id", "secret_access_key")),
        *((S3, "endpoint_url", value) for value in ("s3://a", "http://", "http://user:password@host", "http://h/?a=b")),
        *((KAFKA, "bootstrap_servers", value) for value in (None, [], ["host"], ["host:0"], ["a:1", "b"], ["a:1/"])),
        *((KAFKA, "bootstrap_servers", value) for value in (["user@host:1"], ["host:1"] * (MAX_SERVERS + 1))),
        *((KAFKA, "topic", value) for value in (None, "", ".", "..", "a b", "x" * 250)),
        (KAFKA, "key", "a..b"),
        *((KAFKA, "sasl_mechanism", value) for value in ("GSSAPI", None)),
        *((NATS, "servers", value) for value in (None, [], ["host:4222"], ["nats://user@host"], ["ws://host"])),
        *((NATS, "servers", value) for value in (["nats://host/path"], ["nats://host"] * (MAX_SERVERS + 1))),
        *(
            (NATS, "subject", value)
            for value in (None, "", "a.*", "a.>", "a..b", ".a", "a.", "a b", "$SYS.a", "x" * 256)
        ),
        (NATS, "username", None),
        (NATS, "token", "as well"),
    ],
)
def test_what_can_never_work_is_refused_with_its_place(kind: SinkKind, name: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        sink_of(kind, CONFIGS[kind] | {name: value})

    assert refused.value.field == ("config", name)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *((FIFO, "key", value) for value in (None, "id", "a.b.c.d.e.f.g.h", "\u00e9t\u00e9")),
        *(
            (RABBITMQ, "uri", value)
            for value in ("amqp://host", "amqps://user:p%40ss@[::1]:5671/vhost", "amqp://host/")
        ),
        (RABBITMQ, "exchange", None),
        *((POSTGRES, "url", value) for value in (PG, f"{PG}?sslmode=verify-full")),
        *((POSTGRES, "table_name", value) for value in ("events", "Public.Events", "caf\u00e9.menu list")),
        (POSTGRES, "password", None),
        *((S3, "endpoint_url", value) for value in (None, "https://s3.example.com/below")),
        *((KAFKA, "bootstrap_servers", value) for value in (["host:9092"], ["h:1"] * MAX_SERVERS)),
        *((NATS, "servers", value) for value in (["nats://host"], ["tls://a:4222", "tls://b:4222"])),
        *((NATS, "subject", value) for value in ("a", "a.$b.c")),
    ],
)
def test_what_may_work_is_taken(kind: SinkKind, name: str, value: Any) -> None:
    sink_of(kind, CONFIGS[kind] | {name: value})


def test_certificates_are_taken_but_no_key_with_them(tmp_path: Path) -> None:
    self_signed(tmp_path, valid_for=timedelta(days=1))
    both = (tmp_path / "receiver.pem").read_text()
    certificate = both[both.index("-----BEGIN CERTIFICATE") :]

    sink_of(NATS, CONFIGS[NATS] | {"ssl_root_cert": certificate})
    with pytest.raises(Invalid, match="no private key"):
        sink_of(NATS, CONFIGS[NATS] | {"ssl_root_cert": both})


def test_certificates_have_no_key_and_nothing_that_cannot_be_stored(tmp_path: Path) -> None:
    self_signed(tmp_path)
    both = (tmp_path / "receiver.pem").read_text()
    certificate = both[both.index("-----BEGIN CERTIFICATE-----") :]

    assert are_certificates(certificate)
    assert not are_certificates(both)
    assert not are_certificates(certificate + "\0")
