"""Who may do what: nobody without a token, strangers find nothing, applications and readers stay in their bounds."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres import tables
from service.adapters.postgres.engine import Database
from service.domain.ids import ApplicationId, OrgId
from tests.api.conftest import TOKENS, serving
from tests.support.factories import ORG

STRANGER = OrgId("org_000000000000000000000000002")
HEALTH = {"/api/v1/health", "/api/v1/health/ping"}
BODIES: dict[str, Any] = {
    "/app": {"name": "a"},
    "/event-type": {"name": "a.b", "description": "d"},
    "/endpoint": {"url": "http://127.0.0.1/"},
    "/msg": {"eventType": "a.b", "payload": {}},
    "/headers": {"headers": {}},
}


@pytest.fixture
async def things(api: AsyncClient) -> dict[str, str]:
    """One of each kind of thing, by the names that paths have for them."""
    application = (await api.post("/app", json={"name": "a", "uid": "mine"})).json()["id"]
    endpoint = (await api.post(f"/app/{application}/endpoint", json={"url": "http://127.0.0.1/"})).json()["id"]
    await api.post("/event-type", json={"name": "known", "description": ""})
    message = await api.post(f"/app/{application}/msg", json={"eventType": "known", "payload": {"marker": "ours"}})
    line = b'{"eventType": "known", "payload": {}}\n'
    imported = await api.post(f"/app/{application}/msg/import", content=line, params={"file_id": "f"})
    recovery = {"since": datetime.now(UTC).isoformat()}
    task = await api.post(f"/app/{application}/endpoint/{endpoint}/recover", json=recovery)
    return {
        "import_id": imported.json()["id"],
        "task_id": task.json()["id"],
        "app_id": application,
        "endpoint_id": endpoint,
        "msg_id": message.json()["id"],
        "event_type_name": "known",
        "attempt_id": "atmpt_000000000000000000000000000",
    }


@pytest.fixture
async def stranger(app: FastAPI, api: AsyncClient) -> AsyncIterator[AsyncClient]:
    """Another organisation's admin."""
    assert api
    async with serving(app, token=TOKENS.mint(STRANGER, now=datetime.now(UTC))) as client:
        yield client


async def test_a_stranger_finds_nothing_on_any_route(
    app: FastAPI, stranger: AsyncClient, things: dict[str, str], postgres: Database
) -> None:
    before = await _rows(postgres)

    for method, path in _routes(app):
        answer = await stranger.request(method, _filled(path, things), json=_body(path, method))

        case = f"{method} {path}: {answer.status_code} {answer.text}"
        belongs_to_us = "{" in path and method != "PUT"
        assert answer.status_code == 404 if belongs_to_us else answer.status_code < 500, case
        assert "ours" not in answer.text, case
    assert await _rows(postgres) == before


async def test_a_neighbours_token_finds_nothing_on_any_route(
    app: FastAPI, things: dict[str, str], api: AsyncClient, postgres: Database
) -> None:
    neighbour = (await api.post("/app", json={"name": "neighbour"})).json()["id"]
    token = TOKENS.mint_for_application(ApplicationId(neighbour), ORG, now=datetime.now(UTC))
    before = await _rows(postgres)

    for method, path in _routes(app):
        if "{" not in path or ("{event_type_name}" in path and method == "GET"):
            continue  # the organisation's, and every application's to read
        answer = await api.request(
            method, _filled(path, things), json=_body(path, method), headers={"authorization": f"Bearer {token}"}
        )

        assert answer.status_code in {403, 404}, f"{method} {path}: {answer.status_code} {answer.text}"
    assert await _rows(postgres) == before


async def test_without_a_token_every_route_asks_for_one(app: FastAPI, api: AsyncClient, things: dict[str, str]) -> None:
    for method, path in _routes(app):
        answer = await api.request(
            method, _filled(path, things), json=_body(path, method), headers={"authorization": "Bearer nonsense"}
        )

        assert answer.status_code == 401, f"{method} {path}: {answer.text}"
        assert answer.json() == {"code": "authentication_failed", "detail": "Invalid token"}


async def test_a_reader_changes_nothing(app: FastAPI, api: AsyncClient, things: dict[str, str]) -> None:
    token = TOKENS.mint(ORG, now=datetime.now(UTC), role="reader")
    before = await _state(api, things)

    for method, path in _routes(app):
        if path.endswith("/tail"):
            continue  # it answers for as long as somebody listens
        answer = await api.request(
            method,
            _filled(path, things),
            json=_body(path, method),
            headers={"authorization": f"Bearer {token}"},
        )

        reads = method == "GET" or path == "/environment/export"
        allowed = {200, 404} if reads and path != "/audit" else {403}
        assert answer.status_code in allowed, f"{method} {path}: {answer.text}"
    assert await _state(api, things) == before


async def test_a_writer_deletes_no_application(api: AsyncClient, things: dict[str, str]) -> None:
    token = TOKENS.mint(ORG, now=datetime.now(UTC), role="writer")

    answer = await api.delete(f"/app/{things['app_id']}", headers={"authorization": f"Bearer {token}"})

    assert answer.status_code == 403
    assert answer.json()["code"] == "insufficient access"


async def test_an_application_sees_itself_and_nobody_else(api: AsyncClient, things: dict[str, str]) -> None:
    other = (await api.post("/app", json={"name": "b"})).json()["id"]
    token = TOKENS.mint_for_application(ApplicationId(things["app_id"]), ORG, now=datetime.now(UTC))
    bearer = {"authorization": f"Bearer {token}"}

    async def status(method: str, path: str, body: Any = None) -> int:
        return (await api.request(method, path, json=body, headers=bearer)).status_code

    assert await status("GET", "/app/mine") == 200
    assert await status("GET", "/app/mine/endpoint") == 200
    assert await status("GET", "/app/mine/msg") == 200
    assert await status("GET", "/event-type") == 200
    assert await status("POST", "/app/mine/endpoint", BODIES["/endpoint"]) == 201
    assert await status("GET", f"/app/{other}") == 404
    assert await status("GET", f"/app/{other}/endpoint") == 404
    assert await status("GET", "/app") == 403
    assert await status("POST", "/app", BODIES["/app"]) == 403
    assert await status("DELETE", "/app/mine") == 403
    assert await status("POST", "/app/mine/msg", BODIES["/msg"]) == 403
    assert await status("POST", "/event-type", BODIES["/event-type"]) == 403


def _routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path of the document, PUT last, because it creates what is not there."""
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    routes = [
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in paths.items()
        for method in methods
        if path not in HEALTH
    ]
    return sorted(routes, key=lambda route: route[0] == "PUT")


def _filled(path: str, things: dict[str, str]) -> str:
    return path.format_map(things)


def _body(path: str, method: str) -> Any:
    if method not in {"POST", "PUT", "PATCH"}:
        return None
    for segment in reversed(path.split("/")):
        if f"/{segment}" in BODIES:
            return BODIES[f"/{segment}"]
    return {}


async def _state(api: AsyncClient, things: dict[str, str]) -> list[Any]:
    app_id, endpoint_id = things["app_id"], things["endpoint_id"]
    paths = ["/app", "/event-type", f"/app/{app_id}/endpoint", f"/app/{app_id}/msg"]
    paths += [f"/app/{app_id}/endpoint/{endpoint_id}/{part}" for part in ("secret", "headers")]
    return [(await api.get(path)).json() for path in paths]


async def _rows(postgres: Database) -> dict[str, list[str]]:
    """Every row that belongs to us, in every table that has an owner."""
    owned = [name for name, table in tables.metadata.tables.items() if "org_id" in table.c and name != "audit_event"]
    statement = "SELECT t::text AS whole FROM {} t WHERE org_id = $1 ORDER BY 1"
    return {name: [row["whole"] for row in await postgres.pool.fetch(statement.format(name), ORG)] for name in owned}
