"""Sources: brokers that messages come in from, as those who manage them see them."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from pydantic import BaseModel

from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.postgres.repositories.sources import PostgresSourceLedger
from service.adapters.postgres.server.database import Database
from service.adapters.postgres.server.wakeups import Bell
from service.api.schemas.sources import SourceIn, SourceOut
from service.api.services import Services
from service.domain import ids
from service.domain.ids import SourceId
from service.domain.sources import CREDENTIALS, MAX_SOURCES, ORIGINS, ReaderReport, Reading, SourceFault, SourceKind
from service.observability.sources import PLACES
from service.runtime.sources import CLIENTS
from tests.support.factories import VAULT

NATS = {"servers": ["nats://127.0.0.1:4222"], "stream": "EVENTS"}
KAFKA = {"bootstrapServers": ["127.0.0.1:9092"], "topic": "events"}
RABBITMQ = {"uri": "amqp://relevo:hush@127.0.0.1:5672/%2F", "queue": "events"}
BODY = {"name": "events", "nats": NATS}


async def created(api: AsyncClient, **changed: Any) -> dict[str, Any]:
    answer = await api.post("/source", json=BODY | changed)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_each_kind_is_written_shown_read_and_traced() -> None:
    hidden = {kind: {each.name for each in fields(origin)} & CREDENTIALS for kind, origin in ORIGINS.items()}
    written = {kind: _broker(SourceIn, kind) for kind in SourceKind}
    shown = {kind: _broker(SourceOut, kind) for kind in SourceKind}

    assert written == {kind: {each.name for each in fields(origin)} for kind, origin in ORIGINS.items()}
    assert shown == {kind: written[kind] - hidden[kind] for kind in SourceKind}
    assert CLIENTS.keys() == set(SourceKind)
    assert {kind: {place} <= shown[kind] for kind, place in PLACES.items()} == dict.fromkeys(SourceKind, True)


def _broker(model: type[BaseModel], kind: SourceKind) -> set[str]:
    """The fields of a kind's broker in a body."""
    (broker,) = (each for each in get_args(model.model_fields[kind.value].annotation) if each is not type(None))
    return set(broker.model_fields)


@pytest.mark.parametrize(
    ("kind", "broker", "shown"),
    [
        ("nats", NATS | {"password": "hush", "token": "hush"}, NATS | {"consumer": "relevo", "subject": None}),
        ("kafka", KAFKA | {"password": "hush"}, KAFKA | {"group": "relevo", "tls": False}),
        ("rabbitmq", RABBITMQ, {"queue": "events", "deadLetter": None}),
    ],
)
async def test_a_source_is_shown_without_its_credentials(
    api: AsyncClient, kind: str, broker: dict[str, Any], shown: dict[str, Any]
) -> None:
    answer = await api.post("/source", json={"name": "events", kind: broker})
    source = answer.json()

    got = await api.get(f"/source/{source['id']}")

    assert (answer.status_code, source["kind"]) == (201, kind)
    assert source[kind] | shown == source[kind]
    assert source["state"] == {"status": "stopped", "reason": None, "lag": None, "readers": 0}
    assert got.json() == source
    assert (await api.get("/source")).json()["data"] == [source]
    assert "hush" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"name": "events"},
        BODY | {"kafka": KAFKA},
        BODY | {"name": ""},
        BODY | {"application": "no name"},
        BODY | {"nats": NATS | {"servers": []}},
        BODY | {"nats": NATS | {"servers": ["http://127.0.0.1"]}},
        BODY | {"nats": NATS | {"servers": ["nats://user:hush@127.0.0.1"]}},
        BODY | {"nats": NATS | {"servers": ["nats://127.0.0.1:99999"]}},
        BODY | {"nats": NATS | {"servers": ["nats://10.0.0.1:4222"]}},
        BODY | {"nats": NATS | {"stream": "a.b"}},
        BODY | {"nats": NATS | {"sslRootCert": "hello"}},
        BODY | {"nats": NATS | {"sslRootCert": "-----BEGIN PRIVATE KEY-----"}},
        {"name": "events", "kafka": KAFKA | {"bootstrapServers": ["127.0.0.1"]}},
        {"name": "events", "kafka": KAFKA | {"bootstrapServers": ["[fe80::1]:9092"]}},
        {"name": "events", "kafka": KAFKA | {"saslMechanism": "GSSAPI"}},
        {"name": "events", "rabbitmq": RABBITMQ | {"uri": "http://127.0.0.1"}},
        {"name": "events", "rabbitmq": RABBITMQ | {"uri": "amqp://user:hush@192.168.0.1"}},
    ],
)
async def test_what_no_source_is(api: AsyncClient, body: dict[str, Any]) -> None:
    answer = await api.post("/source", json=body)

    assert answer.status_code == 422, answer.text
    assert "hush" not in answer.text


async def test_a_kind_whose_client_is_missing_is_refused(app: FastAPI, api: AsyncClient, services: Services) -> None:
    app.state.services = replace(services, source_kinds=(SourceKind.NATS,))

    answer = await api.post("/source", json={"name": "events", "kafka": KAFKA})

    assert answer.status_code == 422
    assert "relevo[kafka]" in answer.text
    assert (await api.post("/source", json=BODY)).status_code == 201


async def test_a_change_leaves_what_it_does_not_name(api: AsyncClient) -> None:
    source = await created(api, application="shop", eventType="invoice.paid")

    patched = await api.patch(f"/source/{source['id']}", json={"enabled": False, "eventType": None})
    moved = await api.patch(f"/source/{source['id']}", json={"nats": NATS | {"stream": "OTHER"}})

    assert patched.json() == source | {
        "enabled": False,
        "eventType": None,
        "updatedAt": patched.json()["updatedAt"],
    }
    assert moved.json()["nats"]["stream"] == "OTHER"
    assert moved.json()["application"] == "shop"


async def test_a_kind_stays(api: AsyncClient) -> None:
    source = await created(api)

    answer = await api.patch(f"/source/{source['id']}", json={"kafka": KAFKA})

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "kafka"]


async def test_a_deleted_source_is_gone(api: AsyncClient) -> None:
    source = await created(api)

    answer = await api.delete(f"/source/{source['id']}")

    assert answer.status_code == 204
    for path in (f"/source/{source['id']}", f"/source/{source['id']}/fault"):
        assert (await api.get(path)).status_code == 404
    assert (await api.get("/source")).json()["data"] == []


async def test_how_it_is_read_and_what_was_refused_is_shown(api: AsyncClient, postgres: Database) -> None:
    source_id = SourceId((await created(api))["id"])
    ledger = PostgresSourceLedger(postgres.pool, VAULT, Bell("unheard"))
    now = SystemClock().now()
    fault = SourceFault(
        id=new_id(ids.SOURCE_FAULT),
        position="EVENTS-7",
        application="shop",
        event_type=None,
        event_id="e-7",
        code="not_found",
        detail="Application not found",
        created_at=now - timedelta(seconds=1),
    )

    report = ReaderReport(reader="a", state=Reading.RETRYING, reason="nobody listens there", lag=None, seen_at=now)
    await ledger.report(source_id, report)
    await ledger.refuse(source_id, [fault])

    state = (await api.get(f"/source/{source_id}")).json()["state"]
    faults = (await api.get(f"/source/{source_id}/fault")).json()["data"]
    assert state == {"status": "retrying", "reason": "nobody listens there", "lag": None, "readers": 0}
    assert [(each["id"], each["position"], each["code"]) for each in faults] == [(fault.id, "EVENTS-7", "not_found")]


async def test_an_organisation_has_a_hundred_sources_at_most(api: AsyncClient, postgres: Database) -> None:
    source = await created(api)
    await postgres.pool.execute(
        "INSERT INTO source SELECT 'src_' || n, org_id, name, kind, place, sealed, application, event_type, enabled,"
        " created_at, updated_at FROM source, generate_series(1, $2) n WHERE id = $1",
        source["id"],
        MAX_SOURCES - 1,
    )

    answer = await api.post("/source", json=BODY)

    assert (answer.status_code, answer.json()["code"]) == (400, "limit_reached")
