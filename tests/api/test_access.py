"""Who may do what: nobody without a token, strangers find nothing, applications and readers stay in their bounds."""

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from httpx import AsyncClient

from service.domain.ids import ApplicationId
from tests.api.conftest import TOKENS
from tests.api.rights import roles_let_in
from tests.api.walking import ENDLESS, operations
from tests.support.factories import ORG

BODIES: dict[str, Any] = {
    "/app": {"name": "a"},
    "/event-type": {"name": "a.b", "description": "d"},
    "/endpoint": {"url": "http://127.0.0.1/"},
    "/msg": {"eventType": "a.b", "payload": {}},
    "/headers": {"headers": {}},
}


async def test_without_a_token_every_route_asks_for_one(app: FastAPI, api: AsyncClient, things: dict[str, str]) -> None:
    for operation in operations(app, last="DELETE"):
        answer = await operation.ask(api, things, headers={"authorization": "Bearer nonsense"})

        assert answer.status_code == 401, f"{operation.name}: {answer.text}"
        assert answer.json() == {"code": "authentication_failed", "detail": "Invalid token"}


async def test_a_reader_changes_nothing(app: FastAPI, api: AsyncClient, things: dict[str, str]) -> None:
    token = TOKENS.mint(ORG, now=datetime.now(UTC), role="reader")
    before = await _state(api, things)

    for operation in operations(app, last="DELETE"):
        if operation.name in ENDLESS:
            continue
        answer = await operation.ask(api, things, headers={"authorization": f"Bearer {token}"})

        allowed = {200} if "reader" in roles_let_in(operation.name) else {403}
        assert answer.status_code in allowed, f"{operation.name}: {answer.text}"
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


async def _state(api: AsyncClient, things: dict[str, str]) -> list[Any]:
    app_id, endpoint_id = things["app_id"], things["endpoint_id"]
    paths = ["/app", "/event-type", f"/app/{app_id}/endpoint", f"/app/{app_id}/msg"]
    paths += [f"/app/{app_id}/endpoint/{endpoint_id}/{part}" for part in ("secret", "headers")]
    return [(await api.get(path)).json() for path in paths]
