"""One request, however often it is sent."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.api.services import Services
from service.domain.ids import OrgId
from tests.api.conftest import TOKENS

KEY = {"idempotency-key": "the same"}
ENDPOINT = {"url": "http://127.0.0.1:9/"}
STRANGER = OrgId("org_000000000000000000000000002")


async def test_the_first_answer_comes_again_to_the_letter(api: AsyncClient) -> None:
    first = await api.post("/app", json={"name": "a"}, headers=KEY)
    second = await api.post("/app", json={"name": "a"}, headers=KEY)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert len((await api.get("/app")).json()["data"]) == 1


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", ["/app", "/app/u/msg"])
async def test_another_body_under_the_same_key_is_refused(api: AsyncClient, path: str) -> None:
    body = {"name": "a", "eventType": "a.b", "payload": {}}
    await api.post(path, json=body, headers=KEY)

    answer = await api.post(path, json=body | {"name": "b"}, headers=KEY)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "idempotency_key_reused"


async def test_a_key_counts_for_one_path_only(api: AsyncClient) -> None:
    application = await api.post("/app", json={"name": "a", "description": ""}, headers=KEY)
    event_type = await api.post("/event-type", json={"name": "a", "description": ""}, headers=KEY)

    assert (application.status_code, event_type.status_code) == (201, 201)


async def test_a_request_that_was_refused_leaves_its_key_free(api: AsyncClient) -> None:
    await api.post("/app", json={"name": "a", "uid": "u"})
    refused = await api.post("/app", json={"name": "b", "uid": "u"}, headers=KEY)
    await api.delete("/app/u")

    accepted = await api.post("/app", json={"name": "b", "uid": "u"}, headers=KEY)

    assert (refused.status_code, accepted.status_code) == (409, 201)


async def test_of_many_at_once_one_acts_and_all_get_its_answer(api: AsyncClient) -> None:
    answers = await asyncio.gather(*(api.post("/app", json={"name": "a"}, headers=KEY) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1


async def test_while_the_first_runs_on_the_second_is_told_to_wait(postgres: Database, api: AsyncClient) -> None:
    async with postgres.pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE idempotency_key IN SHARE MODE")

        answer = await api.post("/app", json={"name": "a"}, headers=KEY)

    assert answer.status_code == 409
    assert answer.json()["code"] == "idempotency_conflict"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", ["/app", "/app/u/msg"])
@pytest.mark.parametrize(("age", "counts"), [("11 hours 59 minutes", True), ("12 hours 1 second", False)])
async def test_a_key_counts_for_twelve_hours_and_no_longer(
    *, postgres: Database, api: AsyncClient, path: str, age: str, counts: bool
) -> None:
    body = {"name": "a", "eventType": "a.b", "payload": {}}
    first = await api.post(path, json=body, headers=KEY)
    await postgres.pool.execute("UPDATE idempotency_key SET created_at = now() - $1::text::interval", age)

    again = await api.post(path, json=body, headers=KEY)
    other = await api.post(path, json=body | {"name": "b"}, headers={"idempotency-key": "another"})

    assert again.is_success
    assert (again.json()["id"] == first.json()["id"]) is counts
    assert other.json()["id"] not in {first.json()["id"], again.json()["id"]}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", ["/app", "/app/u/msg", "/event-type"])
async def test_a_key_of_one_organisation_is_none_of_another_s(api: AsyncClient, path: str) -> None:
    stranger = {"authorization": f"Bearer {TOKENS.mint(STRANGER, now=datetime.now(UTC))}"}
    await api.post("/app", json={"name": "an application", "uid": "u"}, headers=stranger)
    body = {"name": "a", "description": "", "eventType": "a.b", "payload": {}}

    mine = await api.post(path, json=body, headers=KEY)
    theirs = await api.post(path, json=body, headers=KEY | stranger)
    otherwise = await api.post(path, json=body | {"name": "b", "eventType": "b"}, headers=stranger | KEY)

    assert (mine.is_success, theirs.is_success) == (True, True)
    assert mine.json().get("id") != theirs.json().get("id") or path == "/event-type"
    assert (await api.get(path, headers=stranger)).json()["data"] != []
    assert otherwise.json()["detail"][0]["type"] == "idempotency_key_reused"  # by the stranger's own first use


async def test_a_key_of_the_organisation_is_none_of_its_application_s(application: str, api: AsyncClient) -> None:
    path = f"/app/{application}/endpoint"
    grants = [await api.post(f"/auth/app-portal-access/{application}", json={}) for _ in range(2)]
    first, second = ({"authorization": f"Bearer {grant.json()['token']}"} for grant in grants)

    organisation = await api.post(path, json=ENDPOINT, headers=KEY)
    portal = await api.post(path, json=ENDPOINT, headers=KEY | first)
    again = await api.post(path, json=ENDPOINT, headers=KEY | second)
    other_body = await api.post(path, json=ENDPOINT | {"description": "d"}, headers=KEY | first)

    assert (organisation.status_code, portal.status_code, other_body.status_code) == (201, 201, 422)
    assert portal.json()["id"] == again.json()["id"] != organisation.json()["id"]


async def test_after_twelve_hours_a_key_is_free(postgres: Database, api: AsyncClient) -> None:
    first = await api.post("/app", json={"name": "a"}, headers=KEY)
    await postgres.pool.execute("UPDATE idempotency_key SET created_at = now() - interval '12 hours 1 second'")

    second = await api.post("/app", json={"name": "b"}, headers=KEY)

    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


async def test_a_message_sent_again_is_the_same_message(application: str, api: AsyncClient) -> None:
    body = {"eventType": "a.b", "eventId": "once", "payload": {"n": 1}, "channels": ["c"], "tags": ["t"]}

    answers = await asyncio.gather(*(api.post(f"/app/{application}/msg", json=body, headers=KEY) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len((await api.get(f"/app/{application}/msg")).json()["data"]) == 1


async def test_after_twelve_hours_the_key_of_a_message_is_free_whether_it_was_removed_or_not(
    application: str, postgres: Database, api: AsyncClient
) -> None:
    path, body = f"/app/{application}/msg", {"eventType": "a.b", "payload": {}}
    first = await api.post(path, json=body, headers=KEY)
    await postgres.pool.execute("UPDATE idempotency_key SET created_at = now() - interval '12 hours 1 second'")

    answers = await asyncio.gather(*(api.post(path, json=body | {"tags": ["t"]}, headers=KEY) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {202}
    (second,) = {answer.json()["id"] for answer in answers}
    assert second != first.json()["id"]
    assert len((await api.get(path)).json()["data"]) == 2


async def test_an_event_id_is_kept_for_longer_than_a_key(
    application: str, postgres: Database, api: AsyncClient
) -> None:
    path, body = f"/app/{application}/msg", {"eventType": "a.b", "eventId": "once", "payload": {}}
    await api.post(path, json=body, headers=KEY)
    await postgres.pool.execute("UPDATE idempotency_key SET created_at = now() - interval '12 hours 1 second'")

    answer = await api.post(path, json=body, headers=KEY)

    assert answer.status_code == 409


async def test_a_scheduled_message_sent_again_when_its_time_is_near_is_the_same_message(
    application: str, app: FastAPI, api: AsyncClient, services: Services
) -> None:
    in_two_minutes = (services.clock.now() + timedelta(minutes=2)).isoformat()
    body = {"eventType": "a.b", "payload": {}, "deliverAt": in_two_minutes}
    first = await api.post(f"/app/{application}/msg", json=body, headers=KEY)
    app.state.services = replace(services, clock=Ahead(timedelta(seconds=90)))

    again = await api.post(f"/app/{application}/msg", json=body, headers=KEY)
    new = await api.post(f"/app/{application}/msg", json=body)

    assert (again.status_code, again.content) == (202, first.content)
    assert (new.status_code, new.json()["detail"][0]["loc"]) == (422, ["body", "deliverAt"])


async def test_a_message_sent_again_after_its_schema_changed_is_the_same_message(
    application: str, api: AsyncClient
) -> None:
    event_type = {"name": "a.b", "description": "", "validatePayloads": True}
    await api.post("/event-type", json=event_type | {"schemas": {"1": {"type": "object"}}})
    body = {"eventType": "a.b", "payload": {}}
    first = await api.post(f"/app/{application}/msg", json=body, headers=KEY)
    await api.patch("/event-type/a.b", json={"schemas": {"1": {"required": ["id"]}}})

    again = await api.post(f"/app/{application}/msg", json=body, headers=KEY)
    new = await api.post(f"/app/{application}/msg", json=body)

    assert (again.status_code, again.content) == (202, first.content)
    assert new.status_code == 422


# Every POST, and a body for it.
ACTS: dict[str, Any] = {
    "/app": {"name": "a"},
    "/app/{app_id}/destination": {"type": "fifoEndpoint", "config": ENDPOINT},
    "/app/{app_id}/destination/{destination_id}/secret/rotate": {},
    "/app/{app_id}/endpoint": ENDPOINT,
    "/app/{app_id}/endpoint/{endpoint_id}/bulk-replay": {"since": "now"},
    "/app/{app_id}/endpoint/{endpoint_id}/recover": {"since": "now"},
    "/app/{app_id}/endpoint/{endpoint_id}/replay-missing": {"since": "now"},
    "/app/{app_id}/endpoint/{endpoint_id}/secret/rotate": {},
    "/app/{app_id}/endpoint/{endpoint_id}/send-example": {"eventType": "svix.ping"},
    "/app/{app_id}/msg": {"eventType": "a.b", "payload": {}},
    "/app/{app_id}/msg/bulk-expunge": {"ids": ["other"]},
    "/app/{app_id}/msg/expunge-all-contents": None,
    "/app/{app_id}/msg/precheck/active": {"eventType": "a.b"},
    "/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend": None,
    "/app/{app_id}/poller/{sink_id}/consumer/{consumer_id}/seek": {"after": "now"},
    "/source": {"name": "a", "nats": {"servers": ["nats://127.0.0.1:9"], "stream": "EVENTS"}},
    "/auth/app-portal-access/{app_id}": {},
    "/auth/app/{app_id}/expire-all": {},
    "/auth/dashboard-access/{app_id}": None,
    "/auth/token": {"name": "t", "role": "reader"},
    "/background-task/{task_id}/cancel": None,
    "/environment/import": {},
    "/event-type": {"name": "a.b", "description": ""},
    "/event-type/import/openapi": {"spec": {"openapi": "3.1.0", "webhooks": {}}},
    "/operational-webhook/endpoint": ENDPOINT,
    "/operational-webhook/endpoint/{endpoint_id}/secret/rotate": {},
    "/stats/usage/app": {"since": "now", "until": "now"},
}
# A file's lines have keys of their own, an export changes nothing, and what ends the caller's token cannot come twice.
NOT_TWICE = {"/environment/export", "/app/{app_id}/msg/import", "/auth/logout", "/auth/refresh"}


async def test_every_post_acts_once_for_each_key(app: FastAPI, api: AsyncClient, services: Services) -> None:
    paths = {path.removeprefix("/api/v1") for path, methods in app.openapi()["paths"].items() if "post" in methods}
    things, now = await _things(api), services.clock.now().isoformat()

    assert paths == ACTS.keys() | NOT_TWICE
    for path, body in ACTS.items():
        filled = {name: now if value == "now" else value for name, value in body.items()} if body else body
        once, twice = [await api.post(path.format_map(things), json=filled, headers=KEY) for _ in range(2)]
        assert once.is_success, f"{path}: {once.text}"
        assert (twice.status_code, twice.content) == (once.status_code, once.content), path


async def test_what_answers_nothing_still_happens_once(api: AsyncClient) -> None:
    path = f"/operational-webhook/endpoint/{(await _things(api))['endpoint_id']}/secret"
    await api.post(f"{path}/rotate", json={}, headers=KEY)
    rotated = (await api.get(path)).json()

    await api.post(f"{path}/rotate", json={}, headers=KEY)

    assert (await api.get(path)).json() == rotated


async def _things(api: AsyncClient) -> dict[str, str]:
    """One of each, by the names that paths have for them; `e` is an endpoint of both kinds."""
    await api.post("/app", json={"name": "a", "uid": "u"})
    await api.post("/app/u/endpoint", json=ENDPOINT | {"uid": "e"})
    await api.post("/operational-webhook/endpoint", json=ENDPOINT | {"uid": "e"})
    await api.post("/app/u/destination", json={"type": "fifoEndpoint", "config": ENDPOINT, "uid": "d"})
    await api.post("/app/u/destination", json={"type": "pollingEndpoint", "uid": "p"})
    await api.post("/app/u/msg", json={"eventType": "a.b", "payload": {}, "eventId": "m"})
    task = (await api.post("/app/u/msg/expunge-all-contents")).json()["id"]
    one = {"app_id": "u", "endpoint_id": "e", "msg_id": "m", "destination_id": "d", "task_id": task}
    return one | {"sink_id": "p", "consumer_id": "reader"}


class Ahead:
    """A clock that is ahead of ours."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by
