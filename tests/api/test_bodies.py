"""Bodies of requests: read of those alone who are let in, and held in bounds for everybody together."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from httpx import AsyncClient
from starlette.types import Message

from service.api.app import create_app
from service.api.protocol.bodies import HeldBodies
from service.api.services import Services
from service.domain.errors import Busy
from service.domain.ids import OrgId
from tests.api.conftest import handed, serving

A, B, C = OrgId("org_a"), OrgId("org_b"), OrgId("org_c")


async def asked(app: FastAPI, method: str, path: str, authorization: str | None) -> tuple[int, int]:
    """The status of the answer, and how often a piece of the body was asked for before."""
    sent: list[Message] = []
    reads = 0

    async def receive() -> Message:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b" " * 1000, "more_body": reads < 10}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    return sent[0]["status"], reads


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic YTpi"])
async def test_nothing_is_read_of_what_a_stranger_sends(app: FastAPI, authorization: str | None) -> None:
    routes = [route for route in app.router.routes if isinstance(route, APIRoute) and "/health" not in route.path]

    answers = {
        (method, route.path): await asked(app, method, route.path.replace("{", "a").replace("}", ""), authorization)
        for route in routes
        for method in route.methods or ()
    }

    assert len(answers) > 50
    assert {case: answer for case, answer in answers.items() if answer != (401, 0)} == {}


async def test_nothing_is_read_of_what_a_token_has_no_right_to_send(
    app: FastAPI, api: AsyncClient, services: Services, application: str
) -> None:
    token = (await api.post(f"/auth/app-portal-access/{application}", json={})).json()["token"]
    paths = ["/app", "/event-type", f"/app/{application}/msg", f"/app/{application}/msg/import"]

    answers = [await asked(app, "POST", f"/api/v1{path}", f"Bearer {token}") for path in paths]

    assert answers == [(403, 0)] * len(paths)


def test_an_organisation_holds_no_more_than_it_leaves_free_for_others() -> None:
    held = HeldBodies(1200)

    held.hold(A, 600)
    with pytest.raises(Busy):
        held.hold(A, 1)
    held.hold(B, 300)
    held.hold(C, 150)
    with pytest.raises(Busy):
        held.hold(B, 1)
    held.let_go(A, 600)
    held.hold(B, 150)
    for org_id, size in ((B, 450), (C, 150)):
        held.let_go(org_id, size)

    held.hold(C, 600)


@pytest.mark.parametrize("path", ["/app", "/app/u/msg"])
async def test_more_bodies_than_there_is_room_for_are_refused_for_now(services: Services, path: str) -> None:
    app = create_app(lambda: handed(services), max_held_bytes=4000)

    async def too_much() -> AsyncIterator[bytes]:
        yield b" " * 1900
        yield b" " * 200

    async with serving(app) as client:
        await client.post("/app", json={"name": "a", "uid": "u"})
        refused = await client.post(path, content=too_much())
        bodies: list[Any] = [{"name": "a", "eventType": "t", "payload": {"a": "x" * 1000}}] * 10
        answers = [(await client.post(path, json=body)).status_code for body in bodies]

    assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert set(answers) <= {201, 202}, "what was answered is not held any more"
