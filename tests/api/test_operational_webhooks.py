"""Operational endpoints, and what is told to them of an organisation's endpoints and deliveries."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.machine.clock import new_id
from service.adapters.postgres.queue.claims import ClaimReader
from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.server.database import Database, dsn
from service.adapters.postgres.server.wakeups import Wakeups
from service.api.schemas.operational_webhooks import (
    OperationalWebhookEndpointOut,
    OperationalWebhookEndpointUpsertIn,
)
from service.domain import ids
from service.domain.deliveries import Attempt, Claim, Settlement, Status
from service.domain.ids import AttemptId, OrgId
from service.domain.operational_webhooks import OPERATIONS
from service.domain.retries import Delivered, Exhausted, Gone, TryAgain, Verdict
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import open_telemetry
from tests.api.conftest import TOKENS
from tests.support.factories import VAULT

URL = "http://127.0.0.1:9/"
OPERATIONAL = "/operational-webhook/endpoint"
STRANGER = OrgId("org_000000000000000000000000002")


async def told(postgres: Database) -> list[tuple[str, dict[str, Any]]]:
    """What is owed to operational endpoints, in order: type and data."""
    rows = await postgres.pool.fetch(
        "SELECT payload FROM message JOIN pending_delivery ON message_id = id WHERE message.org_id = $1 ORDER BY id",
        OPERATIONS,
    )
    payloads = [json.loads(row["payload"]) for row in rows]
    return [(payload["type"], payload["data"]) for payload in payloads]


@pytest.fixture
async def queue(postgres: Database, database: str) -> AsyncIterator[PostgresQueue]:
    """The queue of deliveries; nobody takes from it but the test."""
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        queue = PostgresQueue(
            postgres.pool,
            postgres.claims,
            ClaimReader(VAULT),
            Wakeups(dsn(database)),
            lease=timedelta(seconds=30),
            disable_after=timedelta(days=5),
            telemetry=DeliveryTelemetry(telemetry),
        )
        async with queue.running():
            yield queue


@pytest.fixture
async def endpoint(api: AsyncClient, application: str) -> str:
    """The id of an endpoint of the application, made before anybody listens."""
    answer = await api.post(f"/app/{application}/endpoint", json={"url": URL, "uid": "e"})
    return str(answer.json()["id"])


@pytest.fixture
async def listener(api: AsyncClient) -> str:
    """The id of an operational endpoint that wants everything."""
    return str((await api.post(OPERATIONAL, json={"url": URL})).json()["id"])


async def a_claim(api: AsyncClient, queue: PostgresQueue, application: str) -> Claim:
    await api.post(f"/app/{application}/msg", json={"eventType": "a.b", "eventId": "event-1", "payload": {}})
    (claim,) = await queue.claim(limit=1, per_endpoint=1, rooms={})
    return claim


async def settle(queue: PostgresQueue, claim: Claim, verdict: Verdict, *, number: int, code: int = 500) -> Attempt:
    at = datetime.now(UTC)
    attempt = Attempt(
        id=AttemptId(new_id(ids.ATTEMPT, at=at)),
        message_id=claim.message_id,
        endpoint_id=claim.endpoint_id,
        event_type=claim.event_type,
        destination=claim.destination,
        status=Status.SUCCESS if isinstance(verdict, Delivered) else Status.FAIL,
        response="",
        response_status_code=code,
        duration_ms=1,
        trigger=claim.trigger,
        number=number,
        started_at=at,
        error_type=None,
        trace_id=None,
    )
    settled = await queue.settle(Settlement(claim=replace(claim, attempt=number), verdict=verdict, attempt=attempt))
    assert settled.applied
    return attempt


def test_whatever_may_be_said_of_an_operational_endpoint_is_shown() -> None:
    said, shown = OperationalWebhookEndpointUpsertIn.model_fields, OperationalWebhookEndpointOut.model_fields

    assert said.keys() - shown.keys() == {"channels", "version"}  # which the SDK's own model of it has not either


async def test_an_operational_endpoint_is_made_read_changed_and_deleted(api: AsyncClient) -> None:
    made = (await api.post(OPERATIONAL, json={"url": URL, "uid": "ops", "eventTypes": ["endpoint.created"]})).json()
    path = f"{OPERATIONAL}/{made['id']}"

    assert (await api.get(path)).json() == made
    assert (await api.get(f"{OPERATIONAL}/ops")).json() == made
    assert (await api.get(OPERATIONAL)).json()["data"] == [made]
    changed = await api.put(path, json={"url": URL, "description": "changed"})
    assert (changed.status_code, changed.json()["description"]) == (200, "changed")
    assert (await api.delete(path)).status_code == 204
    assert (await api.get(path)).status_code == 404


async def test_its_secret_and_headers_are_its_own(api: AsyncClient, listener: str) -> None:
    path = f"{OPERATIONAL}/{listener}"
    before = (await api.get(f"{path}/secret")).json()["key"]

    assert (await api.post(f"{path}/secret/rotate", json={})).status_code == 204
    assert (await api.put(f"{path}/headers", json={"headers": {"X-A": "b", "Authorization": "c"}})).status_code == 204

    assert (await api.get(f"{path}/secret")).json()["key"] != before
    assert (await api.get(f"{path}/headers")).json() == {"headers": {"X-A": "b"}, "sensitive": ["Authorization"]}


async def test_only_the_events_that_there_are_can_be_asked_for(api: AsyncClient) -> None:
    answer = await api.post(OPERATIONAL, json={"url": URL, "eventTypes": ["endpoint.created", "invoice.paid"]})

    assert answer.status_code == 422
    assert "invoice.paid" in answer.text


async def test_no_list_of_the_tenant_shows_where_they_are_kept(api: AsyncClient, listener: str) -> None:
    answers = [await api.get(path) for path in ("/app", "/event-type", "/environment/export")]

    assert [answer.json()["data"] for answer in answers[:2]] == [[], []]
    assert all(listener not in answer.text for answer in answers)


async def test_strangers_and_applications_find_none(api: AsyncClient, application: str, listener: str) -> None:
    stranger = {"authorization": f"Bearer {TOKENS.mint(STRANGER, now=datetime.now(UTC))}"}
    granted = (await api.post(f"/auth/app-portal-access/{application}", json={})).json()["token"]

    assert (await api.get(f"{OPERATIONAL}/{listener}", headers=stranger)).status_code == 404
    assert (await api.get(OPERATIONAL, headers=stranger)).json()["data"] == []
    assert (await api.get(OPERATIONAL, headers={"authorization": f"Bearer {granted}"})).status_code == 403


@pytest.mark.usefixtures("listener")
async def test_what_becomes_of_endpoints_is_told(api: AsyncClient, application: str, postgres: Database) -> None:
    app_id = (await api.get(f"/app/{application}")).json()["id"]
    path = f"/app/{application}/endpoint"

    endpoint_id = (await api.post(path, json={"url": URL, "uid": "e"})).json()["id"]
    await api.patch(f"{path}/e", json={"description": "d"})
    await api.post(f"{path}/e/secret/rotate", json={})
    await api.put(f"{path}/e/headers", json={"headers": {"X-Token": "one"}})
    await api.delete(f"{path}/e")

    data = {"appId": app_id, "appUid": application, "endpointId": endpoint_id, "endpointUid": "e"}
    assert await told(postgres) == [
        ("endpoint.created", data),
        *[("endpoint.updated", data)] * 3,
        ("endpoint.deleted", data),
    ]


@pytest.mark.usefixtures("endpoint", "listener")
async def test_a_change_that_does_not_happen_is_not_told(
    api: AsyncClient, application: str, postgres: Database
) -> None:
    await api.post(f"/app/{application}/endpoint", json={"url": URL, "uid": "e"})
    await api.patch(f"/app/{application}/endpoint/unknown", json={"description": "d"})

    assert await told(postgres) == []


async def test_nothing_is_kept_for_an_organisation_that_does_not_listen(
    api: AsyncClient, application: str, endpoint: str, postgres: Database
) -> None:
    assert (await api.patch(f"/app/{application}/endpoint/{endpoint}", json={"description": "d"})).status_code == 200

    assert await postgres.pool.fetchval("SELECT count(*) FROM message") == 0


@pytest.mark.usefixtures("endpoint", "listener")
async def test_the_fourth_failure_the_last_one_and_a_late_success_are_told(
    *, api: AsyncClient, application: str, endpoint: str, queue: PostgresQueue, postgres: Database
) -> None:
    again = TryAgain(delay=timedelta(0))
    claim = await a_claim(api, queue, application)

    attempts = []
    story: list[tuple[int, Verdict]] = [(3, again), (4, again), (5, again), (6, Delivered())]
    for number, verdict in story:
        attempts.append(await settle(queue, claim, verdict, number=number, code=200 if number == 6 else 503))
        claims = await queue.claim(limit=5, per_endpoint=5, rooms={})
        claim = next((one for one in claims if one.endpoint_id == endpoint), claim)

    (failing, data), (recovered, last) = await told(postgres)
    assert (failing, recovered) == ("message.attempt.failing", "message.attempt.recovered")
    assert data == {
        "appId": claim.app_id,
        "appUid": application,
        "endpointId": endpoint,
        "msgId": claim.message_id,
        "msgEventId": "event-1",
        "lastAttempt": {
            "id": attempts[1].id,
            "responseStatusCode": 503,
            "timestamp": attempts[1].started_at.isoformat(),
        },
    }
    assert last["lastAttempt"]["id"] == attempts[3].id


@pytest.mark.usefixtures("endpoint", "listener")
async def test_a_delivery_that_is_given_up_is_told(
    *, api: AsyncClient, application: str, queue: PostgresQueue, postgres: Database
) -> None:
    await settle(queue, await a_claim(api, queue, application), Exhausted(reason="attempts_used_up"), number=8)

    assert [event_type for event_type, _ in await told(postgres)] == ["message.attempt.exhausted"]


@pytest.mark.usefixtures("endpoint", "listener")
async def test_an_endpoint_that_is_switched_off_is_told_with_the_time_since_it_fails(
    *, api: AsyncClient, application: str, endpoint: str, queue: PostgresQueue, postgres: Database
) -> None:
    await settle(queue, await a_claim(api, queue, application), Gone(), number=1, code=410)

    events = dict(await told(postgres))
    assert events.keys() == {"message.attempt.exhausted", "endpoint.disabled"}
    assert events["endpoint.disabled"]["endpointUid"] == "e"
    assert events["endpoint.disabled"]["endpointId"] == endpoint
    assert datetime.fromisoformat(events["endpoint.disabled"]["failSince"]) <= datetime.now(UTC)


async def test_failing_operational_webhooks_are_not_spoken_of(
    api: AsyncClient, application: str, listener: str, queue: PostgresQueue, postgres: Database
) -> None:
    await api.post(f"/app/{application}/endpoint", json={"url": URL})
    (claim,) = await queue.claim(limit=5, per_endpoint=5, rooms={})
    assert claim.endpoint_id == listener

    await settle(queue, claim, Exhausted(reason="attempts_used_up"), number=8)

    assert await told(postgres) == []


@pytest.mark.usefixtures("endpoint", "listener")
@pytest.mark.own_database
async def test_a_settlement_is_not_lost_over_what_is_told_of_it(
    *, api: AsyncClient, application: str, queue: PostgresQueue, postgres: Database
) -> None:
    claim = await a_claim(api, queue, application)
    await postgres.pool.execute("ALTER TABLE idempotency_key RENAME TO elsewhere")

    await settle(queue, claim, Exhausted(reason="attempts_used_up"), number=8)

    assert await postgres.pool.fetchval("SELECT count(*) FROM settled_delivery") == 1
