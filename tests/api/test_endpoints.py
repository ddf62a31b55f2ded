"""Endpoints: changes, secrets, headers."""

import asyncio
from dataclasses import fields
from typing import Any

import pytest
from httpx import AsyncClient
from pydantic.alias_generators import to_camel

from service.adapters.postgres.server.database import Database
from service.api.schemas.endpoints import EndpointPatch, EndpointUpsertIn
from service.domain.endpoints import NewEndpoint

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
# Another value than is usual, for every field that a caller may say: one that is forgotten somewhere fails.
SAID: dict[str, Any] = {
    "url": "http://127.0.0.1/other",
    "description": "theirs",
    "throttleRate": 7,
    "uid": "other",
    "version": 3,
    "disabled": True,
    "eventTypes": ["invoice.paid"],
    "channels": ["c"],
    "metadata": {"k": "v"},
}


async def _create(api: AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await api.post("/app/u/endpoint", json={"url": "http://127.0.0.1/", "uid": "e"} | body)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("brought", [SECRET, SECRET.removeprefix("whsec_")])
async def test_a_secret_may_be_brought_along(api: AsyncClient, brought: str) -> None:
    await _create(api, secret=brought)

    answer = await api.get("/app/u/endpoint/e/secret")

    assert answer.json() == {"key": SECRET}


@pytest.mark.usefixtures("application")
async def test_rotating_makes_a_new_secret_and_goes_on_for_ten_times(api: AsyncClient) -> None:
    await _create(api)
    keys = {(await api.get("/app/u/endpoint/e/secret")).json()["key"]}

    answers = [await api.post("/app/u/endpoint/e/secret/rotate", json={}) for _ in range(10)]
    eleventh = await api.post("/app/u/endpoint/e/secret/rotate", json={})
    at_once = await api.post("/app/u/endpoint/e/secret/rotate", json={"key": SECRET, "gracePeriodSeconds": 0})

    assert {answer.status_code for answer in answers} == {200}
    assert len(keys | {answer.json()["key"] for answer in answers}) == 11
    assert (eleventh.status_code, eleventh.json()["code"]) == (400, "limit_reached")
    assert at_once.json() == {"key": SECRET}
    assert (await api.get("/app/u/endpoint/e/secret")).json() == {"key": SECRET}


@pytest.mark.usefixtures("application")
async def test_headers_are_kept_and_their_credentials_not_shown(api: AsyncClient) -> None:
    await _create(api, headers={"X-One": "1", "Authorization": "Bearer secret"})

    await api.patch("/app/u/endpoint/e/headers", json={"headers": {"X-Two": "2"}, "deleteHeaders": ["x-one"]})
    patched = (await api.get("/app/u/endpoint/e/headers")).json()
    replaced = await api.put("/app/u/endpoint/e/headers", json={"headers": {"X-Three": "3"}})

    assert patched == {"headers": {"X-Two": "2"}, "sensitive": ["Authorization"]}
    assert replaced.status_code == 204
    assert (await api.get("/app/u/endpoint/e/headers")).json() == {"headers": {"X-Three": "3"}, "sensitive": []}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("name", ["Expect", "expect", "Upgrade", "TE", "Trailer", "Proxy-Connection"])
async def test_a_header_that_is_not_the_endpoints_to_set_is_refused_everywhere(api: AsyncClient, name: str) -> None:
    await _create(api)
    headers = {"headers": {name: "100-continue"}}

    answers = [
        await api.post("/app/u/endpoint", json={"url": "http://example.com/"} | headers),
        await api.put("/app/u/endpoint/e/headers", json=headers),
        await api.patch("/app/u/endpoint/e/headers", json=headers),
    ]

    assert [answer.status_code for answer in answers] == [422] * 3
    assert all(f"The header '{name}' is not yours to set." in answer.text for answer in answers)


@pytest.mark.usefixtures("application")
async def test_headers_that_do_not_go_together_are_refused_also_when_they_come_bit_by_bit(api: AsyncClient) -> None:
    await _create(api)
    twice = {"headers": {"X-A": "1", "x-a": "2"}}
    large = {"headers": {f"X-{number}": "x" * 4000 for number in range(3)}}
    larger = {"headers": {f"Y-{number}": "x" * 4000 for number in range(3)}}

    refused = [
        await api.post("/app/u/endpoint", json={"url": "http://example.com/"} | twice),
        await api.put("/app/u/endpoint/e/headers", json=twice),
        await api.patch("/app/u/endpoint/e/headers", json=twice),
    ]
    taken = await api.patch("/app/u/endpoint/e/headers", json=large)
    too_many = await api.patch("/app/u/endpoint/e/headers", json=larger)

    assert [answer.status_code for answer in refused] == [422] * 3
    assert all("there twice" in answer.text for answer in refused)
    assert (taken.status_code, too_many.status_code) == (204, 422)
    assert (await api.get("/app/u/endpoint/e/headers")).json()["headers"] == large["headers"]


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest", "http://a..b/"])
async def test_a_url_that_nobody_will_ever_be_called_at_is_refused_whenever_it_is_said(
    api: AsyncClient, url: str
) -> None:
    await _create(api)

    answers = [
        await api.post("/app/u/endpoint", json={"url": url}),
        await api.put("/app/u/endpoint/e", json={"url": url}),
        await api.put("/app/u/endpoint/another", json={"url": url}),
        await api.patch("/app/u/endpoint/e", json={"url": url}),
        await api.post("/operational-webhook/endpoint", json={"url": url}),
    ]

    assert [answer.status_code for answer in answers] == [422] * 5
    assert all(answer.json()["detail"][0]["loc"] == ["body", "url"] for answer in answers)
    assert not any("RELEVO" in answer.text for answer in answers)


@pytest.mark.usefixtures("application")
async def test_a_url_that_was_taken_before_does_not_stand_in_the_way_of_other_changes(
    api: AsyncClient, postgres: Database
) -> None:
    await _create(api)
    await postgres.pool.execute("UPDATE endpoint SET url = 'http://10.0.0.1/'")

    answer = await api.patch("/app/u/endpoint/e", json={"description": "still mine"})

    assert (answer.status_code, answer.json()["url"]) == (200, "http://10.0.0.1/")


def test_every_field_of_an_endpoint_may_be_said_when_it_is_created_replaced_and_patched() -> None:
    said, patched = ({to_camel(name) for name in model.model_fields} for model in (EndpointUpsertIn, EndpointPatch))

    assert SAID.keys() == said == patched
    assert {to_camel(field.name) for field in fields(NewEndpoint)} - {"destination"} == said - {"url"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_every_field_is_shown_as_it_was_said(application: str, api: AsyncClient, method: str) -> None:
    await api.post("/event-type", json={"name": "invoice.paid", "description": ""})
    before = {} if method == "POST" else await _create(api)
    path = f"/app/{application}/endpoint"

    answer = await api.request(method, path if method == "POST" else f"{path}/{before['id']}", json=SAID)
    shown = (await api.get(f"{path}/other")).json()

    assert answer.json() == shown
    assert {name: shown[name] for name in SAID} == SAID
    assert [name for name in SAID if before.get(name) == SAID[name]] == []


@pytest.mark.usefixtures("application")
async def test_replacing_resets_what_is_not_said_and_patching_keeps_it(api: AsyncClient) -> None:
    await api.post("/event-type", json={"name": "a.b", "description": ""})
    await _create(api, description="d", channels=["c"], eventTypes=["a.b"], metadata={"k": "v"}, rateLimit=5)

    patched = (await api.patch("/app/u/endpoint/e", json={"channels": None})).json()
    replaced = (await api.put("/app/u/endpoint/e", json={"url": "http://127.0.0.1/new"})).json()

    assert (patched["description"], patched["channels"], patched["filterTypes"]) == ("d", None, ["a.b"])
    assert (patched["rateLimit"], patched["throttleRate"], patched["metadata"]) == (5, 5, {"k": "v"})
    assert (replaced["description"], replaced["eventTypes"], replaced["uid"]) == ("", None, None)
    assert replaced["id"] == patched["id"]


@pytest.mark.usefixtures("application")
async def test_replacing_what_is_not_there_creates_it(api: AsyncClient) -> None:
    endpoint = await api.put("/app/u/endpoint/unknown", json={"url": "http://127.0.0.1/"})
    created = await api.put("/app/unknown", json={"name": "a"})
    event_type = await api.put("/event-type/a.b", json={"description": ""})

    assert [answer.status_code for answer in (endpoint, created, event_type)] == [201, 201, 201]
    assert (endpoint.json()["uid"], "uid" in created.json()) == (None, False)


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", ["/app/new", "/app/u/endpoint/new"])
async def test_of_many_who_put_the_same_thing_at_once_one_creates_it_and_all_are_answered(
    api: AsyncClient, path: str
) -> None:
    body = {"name": "a", "url": "http://127.0.0.1:9/", "uid": "new"}

    answers = await asyncio.gather(*(api.put(path, json=body) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("path", ["/app/new", "/app/u/endpoint/new"])
async def test_putting_under_a_new_name_what_has_the_uid_of_another_is_a_conflict(
    application: str, api: AsyncClient, path: str
) -> None:
    body = {"name": "a", "url": "http://127.0.0.1:9/", "uid": application}
    await api.post("/app/u/endpoint", json=body)

    answer = await api.put(path, json=body)

    assert answer.status_code == 409


@pytest.mark.usefixtures("application")
async def test_enabling_forgets_the_failures_so_far(api: AsyncClient, postgres: Database) -> None:
    await _create(api, disabled=True)
    await postgres.pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '9 days'")

    await api.patch("/app/u/endpoint/e", json={"disabled": False})

    assert await postgres.pool.fetchval("SELECT first_failure_at FROM endpoint") is None


@pytest.mark.usefixtures("application")
async def test_a_disabled_endpoint_says_why_and_since_when(api: AsyncClient, postgres: Database) -> None:
    await _create(api)
    by_the_engine = "UPDATE endpoint SET disabled = true, disabled_reason = 'failing', disabled_at = updated_at"

    enabled = (await api.get("/app/u/endpoint/e")).json()
    by_request = (await api.patch("/app/u/endpoint/e", json={"disabled": True})).json()
    await postgres.pool.execute(by_the_engine)
    kept = (await api.patch("/app/u/endpoint/e", json={"description": "still"})).json()
    again = (await api.patch("/app/u/endpoint/e", json={"disabled": False})).json()

    assert (enabled["disabledReason"], enabled["disabledAt"]) == (None, None)
    assert (by_request["disabledReason"], by_request["disabledAt"]) == ("customer", by_request["updatedAt"])
    assert (kept["disabledReason"], kept["disabledAt"]) == ("failing", by_request["updatedAt"])
    assert kept["updatedAt"] > by_request["updatedAt"]
    assert (again["disabledReason"], again["disabledAt"]) == (None, None)
