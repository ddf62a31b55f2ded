"""Every list that a caller may send has a bound, and one beyond it is refused before anything is asked."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.domain.limits import MAX_EVENT_TYPES, MAX_LISTED_VALUES

SINCE = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
MOST_OF_THE_PROTOCOL = 32_767
URL = {"url": "http://127.0.0.1:9/"}
LISTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/app/u/endpoint", URL, "eventTypes"),
    ("POST", "/app/u/endpoint", URL, "filterTypes"),
    ("POST", "/app/u/endpoint", URL, "channels"),
    ("PUT", "/app/u/endpoint/e", URL, "eventTypes"),
    ("PATCH", "/app/u/endpoint/e", {}, "eventTypes"),
    ("PATCH", "/app/u/endpoint/e/headers", {}, "deleteHeaders"),
    ("POST", "/operational-webhook/endpoint", URL, "eventTypes"),
    ("POST", "/app/u/endpoint/e/bulk-replay", SINCE, "eventTypes"),
    ("POST", "/stats/usage/app", SINCE, "appIds"),
    ("POST", "/app/u/msg/bulk-expunge", {}, "ids"),
    ("POST", "/app/u/msg", {"eventType": "t", "payload": {}}, "channels"),
    ("POST", "/app/u/msg", {"eventType": "t", "payload": {}}, "tags"),
    ("POST", "/auth/app-portal-access/u", {}, "capabilities"),
    ("POST", "/auth/app-portal-access/u", {}, "featureFlags"),
    ("POST", "/auth/app/u/expire-all", {}, "sessionIds"),
    ("POST", "/event-type", {"name": "n", "description": ""}, "featureFlags"),
]


@pytest.mark.parametrize(("method", "path", "body", "name"), LISTS, ids=[f"{row[1]} {row[3]}" for row in LISTS])
async def test_a_list_beyond_its_bound_is_refused(
    *, api: AsyncClient, application: str, method: str, path: str, body: dict[str, Any], name: str
) -> None:
    await api.post(f"/app/{application}/endpoint", json=URL | {"uid": "e"})
    item = "ViewBase" if name == "capabilities" else "a"

    answer = await api.request(method, path, json=body | {name: [item] * (MAX_EVENT_TYPES + 1)})

    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"][:2] == ["body", name]


@pytest.mark.parametrize("path", ["/app/u/msg", "/app/u/msg/export", "/app/u/attempt/endpoint/e"])
@pytest.mark.parametrize("joined", [True, False])
async def test_a_filter_beyond_its_bound_is_refused(
    api: AsyncClient, application: str, path: str, *, joined: bool
) -> None:
    await api.post(f"/app/{application}/endpoint", json=URL | {"uid": "e"})
    names = [f"t{number}" for number in range(MAX_LISTED_VALUES + 1)]
    query = f"event_types={','.join(names)}" if joined else "&".join(f"event_types[]={name}" for name in names)

    answer = await api.get(f"{path}?{query}")
    fewer = await api.get(f"{path}?event_types={','.join(names[:-1])}")

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "event_types"])
    assert fewer.status_code == 200


async def test_as_many_as_are_allowed_are_taken(api: AsyncClient, application: str) -> None:
    names = [f"t{number}" for number in range(MAX_LISTED_VALUES)]
    await api.post(f"/app/{application}/endpoint", json=URL | {"uid": "e"})

    replay = await api.post("/app/u/endpoint/e/bulk-replay", json=SINCE | {"eventTypes": names})
    usage = await api.post("/stats/usage/app", json=SINCE | {"appIds": [*names[:-1], application]})
    unknown = await api.patch("/app/u/endpoint/e", json={"eventTypes": names})

    assert (replay.status_code, usage.status_code) == (202, 202)
    assert "don't exist" in unknown.json()["detail"][0]["msg"]


async def test_every_list_of_the_document_has_a_bound(app: FastAPI) -> None:
    document = app.openapi()
    bodies = [
        content["schema"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for content in operation.get("requestBody", {"content": {}})["content"].values()
    ]

    unbound = {at for body in bodies for at in _unbound(body, document, "", frozenset())}

    assert unbound == set()
    assert MAX_EVENT_TYPES < MOST_OF_THE_PROTOCOL


def _body(*, values: int = 0, lists: int = 0) -> bytes:
    return b'{"name": "n", "more": [' + b",".join([b"1"] * values + [b"[]"] * lists) + b"]}"


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/app", _body(values=100_001), "There are more than 100,000 values in the body"),
        ("/app", _body(lists=20_001), "There are more than 20,000 lists and objects in the body"),
        ("/environment/import", _body(values=200_001), "There are more than 200,000 values in the body"),
        ("/event-type", _body(lists=200_001), "There are more than 200,000 lists and objects in the body"),
        ("/app", b'{"name": nothing}', "This is not valid JSON: "),
        ("/app", b'{"name": "n"', "This is not valid JSON: "),
    ],
)
async def test_a_body_that_cannot_be_read_or_holds_too_much_is_refused_in_a_sentence(
    api: AsyncClient, path: str, body: bytes, sentence: str
) -> None:
    answer = await api.post(path, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"].startswith(sentence)


async def test_of_many_faults_a_hundred_are_told(api: AsyncClient) -> None:
    answer = await api.post("/app", json={"name": "n", "metadata": {str(number): number for number in range(1000)}})

    assert (answer.status_code, len(answer.json()["detail"])) == (422, 100)


def _unbound(schema: dict[str, Any], document: dict[str, Any], at: str, seen: frozenset[str]) -> Iterator[str]:
    """The paths to arrays without `maxItems`; what a caller's own object holds is not ours to bound."""
    if reference := schema.get("$ref"):
        if reference not in seen:
            name = reference.rpartition("/")[2]
            yield from _unbound(document["components"]["schemas"][name], document, name, seen | {reference})
    elif schema.get("type") == "array" and "maxItems" not in schema:
        yield at
    for each in schema.get("anyOf", ()):
        yield from _unbound(each, document, at, seen)
    for name, field in schema.get("properties", {}).items():
        yield from _unbound(field, document, f"{at}.{name}", seen)
    if "items" in schema:
        yield from _unbound(schema["items"], document, at, seen)
