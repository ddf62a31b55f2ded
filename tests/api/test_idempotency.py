"""One request, however often it is sent."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.engine import Database
from service.api.services import Services

KEY = {"idempotency-key": "the same"}


async def test_the_first_answer_comes_again_to_the_letter(api: AsyncClient) -> None:
    first = await api.post("/app", json={"name": "a"}, headers=KEY)
    second = await api.post("/app", json={"name": "a"}, headers=KEY)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert len((await api.get("/app")).json()["data"]) == 1


@pytest.mark.parametrize("path", ["/app", "/app/u/msg"])
async def test_another_body_under_the_same_key_is_refused(application: str, api: AsyncClient, path: str) -> None:
    assert application
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


class Ahead:
    """A clock that is ahead of ours."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by
