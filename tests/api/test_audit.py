"""The audit trail: what is written down, and by whom it can be read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from starlette.middleware import Middleware

from service.adapters.postgres.server.database import Database
from service.api.app import create_app
from service.api.audit import AUDITED_AFTER_ANSWER, AUDITED_IN_TRANSACTION
from service.api.services import Services
from service.domain.ids import OrgId
from service.observability.middleware import CorrelationMiddleware
from service.observability.telemetry import open_telemetry
from tests.api.conftest import TOKENS
from tests.support.factories import ORG

ENDPOINT = {"url": "http://127.0.0.1:9/"}
STRANGER = OrgId("org_000000000000000000000000002")


async def trail(api: AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await api.get("/audit", params=query)
    events: list[dict[str, Any]] = answer.json()["data"]
    return events


async def test_sensitive_acts_are_told_newest_first_with_who_what_and_when(api: AsyncClient, application: str) -> None:
    app_id = (await api.get(f"/app/{application}")).json()["id"]
    endpoint = (await api.post(f"/app/{application}/endpoint", json=ENDPOINT)).json()["id"]
    access = await api.post(f"/auth/app-portal-access/{application}", json={})
    bearer = {"authorization": f"Bearer {access.json()['token']}"}
    await api.post(f"/app/{application}/endpoint/{endpoint}/secret/rotate", json={}, headers=bearer)
    await api.delete(f"/app/{application}/endpoint/{endpoint}")

    events = await trail(api)

    told = [(event["action"], event["actor"], event["role"], event["target"]) for event in events]
    assert told == [
        ("endpoint.deleted", ORG, "admin", endpoint),
        ("endpoint.secret_rotated", app_id, "application", endpoint),
        ("token.granted", ORG, "admin", application),
        ("endpoint.created", ORG, "admin", endpoint),
        ("application.created", ORG, "admin", app_id),
    ]
    assert events[1]["appId"] == app_id
    assert events[1]["tokenId"]
    assert access.json()["token"] not in str(events)
    assert abs((datetime.fromisoformat(events[0]["timestamp"]) - datetime.now(UTC)).total_seconds()) < 60


async def test_the_trail_is_read_in_pages(api: AsyncClient) -> None:
    for number in range(5):
        await api.post("/app", json={"name": "n", "uid": f"u{number}"})

    first = (await api.get("/audit", params={"limit": 3})).json()
    rest = (await api.get("/audit", params={"limit": 3, "iterator": first["iterator"]})).json()

    assert (len(first["data"]), first["done"]) == (3, False)
    assert (len(rest["data"]), rest["done"]) == (2, True)
    assert (await api.get("/audit", params={"iterator": "audit_no"})).status_code == 422


async def test_what_failed_or_was_only_repeated_was_not_done(api: AsyncClient, application: str) -> None:
    before = await trail(api)

    await api.delete(f"/app/{application}/endpoint/unknown")
    await api.post("/app", json={"name": "n", "uid": application})
    await api.post(f"/app/{application}/endpoint", json={})
    assert await trail(api) == before
    for _ in range(2):
        await api.post("/app", json={"name": "n", "uid": "once"}, headers={"idempotency-key": "k"})

    assert len(await trail(api)) == len(before) + 1


@pytest.mark.parametrize("role", ["writer", "reader"])
async def test_only_an_admin_reads_it(api: AsyncClient, role: Any) -> None:
    token = TOKENS.mint(ORG, now=datetime.now(UTC), role=role)

    assert (await api.get("/audit", headers={"authorization": f"Bearer {token}"})).status_code == 403


async def test_another_organisation_reads_its_own(api: AsyncClient, application: str) -> None:
    token = TOKENS.mint(STRANGER, now=datetime.now(UTC))

    answer = await api.get("/audit", headers={"authorization": f"Bearer {token}"})

    assert (application, answer.json()["data"]) == ("u", [])


@pytest.mark.own_database
async def test_an_act_that_cannot_be_written_down_does_not_happen(
    postgres: Database, api: AsyncClient, application: str
) -> None:
    await postgres.pool.execute("ALTER TABLE audit_event RENAME TO elsewhere")

    answer = await api.delete(f"/app/{application}")

    assert answer.status_code == 500
    assert (await api.get(f"/app/{application}")).status_code == 200


@pytest.mark.own_database
async def test_a_failure_after_the_answer_is_seen(services: Services, postgres: Database) -> None:
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        app = create_app(
            partial(_handed, services), middleware=[Middleware(CorrelationMiddleware, telemetry=telemetry)]
        )
        await postgres.pool.execute("ALTER TABLE audit_event RENAME TO elsewhere")

        async with _asked(app) as api:
            answer = await api.post("/app", json={"name": "n"})

        assert answer.status_code == 201
        assert telemetry.registry.get_sample_value("relevo_request_failed_after_answer_total") == 1


async def test_every_operation_that_is_written_down_exists(app: FastAPI) -> None:
    known = {operation["operationId"] for methods in app.openapi()["paths"].values() for operation in methods.values()}

    assert (AUDITED_IN_TRANSACTION.keys() | AUDITED_AFTER_ANSWER.keys()) - known == set()


@asynccontextmanager
async def _handed(services: Services) -> AsyncIterator[Services]:
    yield services


@asynccontextmanager
async def _asked(app: FastAPI) -> AsyncIterator[AsyncClient]:
    token = TOKENS.mint(ORG, now=datetime.now(UTC))
    async with (
        app.router.lifespan_context(app),
        AsyncClient(
            transport=ASGITransport(app=app, raise_app_exceptions=False),
            base_url="http://relevo.test/api/v1",
            headers={"authorization": f"Bearer {token}"},
        ) as client,
    ):
        yield client
