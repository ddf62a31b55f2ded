"""What may be shown of a source, and how processes' reports are read together."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.ids import SourceId
from service.domain.sources import (
    HEARD_WITHIN,
    KafkaOrigin,
    NatsOrigin,
    Origin,
    RabbitMqOrigin,
    ReaderReport,
    Reading,
    Source,
    SourceKind,
    SourceState,
    origin_of,
    shown,
    state_of,
)
from service.domain.sources import ORIGINS as KINDS
from tests.support.factories import ORG

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORIGINS: list[Origin] = [
    NatsOrigin(servers=("nats://n:4222",), stream="EVENTS", username="u", password="hush", token="hush"),
    KafkaOrigin(bootstrap_servers=("k:9092",), topic="events", username="u", password="hush"),
    RabbitMqOrigin(uri="amqps://u:hush@r:5671/%2F", queue="events"),
]


def a_source(kind: SourceKind = SourceKind.NATS, **changed: Any) -> Source:
    values: dict[str, Any] = {
        "id": SourceId("src_1"),
        "org_id": ORG,
        "name": "events",
        "kind": kind,
        "place": {},
        "application": None,
        "event_type": None,
        "enabled": True,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Source(**values | changed)


def a_report(**changed: Any) -> ReaderReport:
    values: dict[str, Any] = {"reader": "a", "state": Reading.RUNNING, "reason": None, "lag": 0, "seen_at": NOW}
    return ReaderReport(**values | changed)


def test_each_kind_has_an_origin_and_each_origin_an_example() -> None:
    assert {kind: origin.kind for kind, origin in KINDS.items()} == {kind: kind for kind in SourceKind}
    assert [type(origin) for origin in ORIGINS] == list(KINDS.values())


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: str(origin.kind))
def test_credentials_are_neither_shown_nor_printed(origin: Origin) -> None:
    assert "hush" not in f"{origin} {shown(origin)} {origin.addresses}"


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: str(origin.kind))
def test_an_origin_is_made_again_of_its_fields_as_json_has_them(origin: Origin) -> None:
    said = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(origin).items()}

    assert origin_of(origin.kind, said) == origin


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("amqp://u:p@broker/%2F", "amqp://broker"),
        ("amqps://broker:5671", "amqps://broker:5671"),
        ("amqp://u:p@[::1]:5672/v", "amqp://[::1]:5672"),
    ],
)
def test_the_address_of_a_uri_has_no_credentials(uri: str, address: str) -> None:
    assert RabbitMqOrigin(uri=uri, queue="q").addresses == (address,)


LONG_AGO = NOW - HEARD_WITHIN
RETRYING = {"state": Reading.RETRYING, "reason": "nobody listens there", "lag": None}


@pytest.mark.parametrize(
    ("source", "reports", "state"),
    [
        (a_source(), [], SourceState(state=Reading.STOPPED)),
        (a_source(enabled=False), [a_report()], SourceState(state=Reading.STOPPED)),
        (a_source(), [a_report(seen_at=LONG_AGO)], SourceState(state=Reading.STOPPED)),
        (a_source(), [a_report(state=Reading.STOPPED)], SourceState(state=Reading.STOPPED)),
        (a_source(), [a_report(lag=3)], SourceState(state=Reading.RUNNING, lag=3, readers=1)),
        (
            a_source(),
            [a_report(**RETRYING)],
            SourceState(state=Reading.RETRYING, reason="nobody listens there"),
        ),
        (
            a_source(),
            [a_report(**RETRYING), a_report(reader="b", lag=7, seen_at=NOW - timedelta(seconds=5))],
            SourceState(state=Reading.RUNNING, lag=7, readers=1),
        ),
        (
            a_source(),
            [a_report(lag=7), a_report(reader="b", lag=8)],
            SourceState(state=Reading.RUNNING, lag=8, readers=2),
        ),
        (
            a_source(SourceKind.KAFKA),
            [a_report(lag=7), a_report(reader="b", lag=8)],
            SourceState(state=Reading.RUNNING, lag=15, readers=2),
        ),
    ],
)
def test_it_runs_if_any_process_reads_it(source: Source, reports: list[ReaderReport], state: SourceState) -> None:
    assert state_of(source, reports, now=NOW) == state
