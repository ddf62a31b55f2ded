"""Values at the edge of what requests can say, on every operation that takes them: answered, and never by a 500."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from tests.api.walking import ENDLESS, FITS_ALL, Operation, Things, operations

# What an operation cannot do without, although none of the fields is required by itself.
NEEDED = {
    "v1.event-type.import-openapi": {"spec"},
    "v1.endpoint.send-example": {"payload"},
    "v1.source.create": {"nats"},
    "v1.destination.create": {"config"},
    "v1.destination.upsert": {"config"},
}
# A patch may leave these out, but the thing itself has to have them.
NEVER_NULL = {
    "v1.application.patch": {"name"},
    "v1.endpoint.patch": {"url"},
    "v1.event-type.patch": {"description"},
    "v1.source.patch": {"name"},
}
EDGES_OF_TIME = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
]


async def test_a_null_is_taken_wherever_a_field_is_optional(app: FastAPI, api: AsyncClient, things: Things) -> None:
    asked = {operation: optional(app, operation) for operation in operations(app, last="DELETE")}
    nulls = {
        operation: dict.fromkeys(fields - NEEDED.get(operation.name, set()) - NEVER_NULL.get(operation.name, set()))
        for operation, fields in asked.items()
    }

    answers = {
        operation.name: await operation.ask(api, things, json=FITS_ALL | fields)
        for operation, fields in nulls.items()
        if fields
    }

    assert {name: answer.text for name, answer in answers.items() if not answer.is_success} == {}
    assert len(answers) > 20


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in NEVER_NULL.items() for field in fields])
async def test_what_a_thing_has_to_have_cannot_be_patched_away(
    *, app: FastAPI, api: AsyncClient, things: Things, name: str, field: str
) -> None:
    (operation,) = (operation for operation in operations(app, last="DELETE") if operation.name == name)

    answer = await operation.ask(api, things, json={field: None})

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field])


async def test_a_name_that_nothing_can_have_is_not_found(app: FastAPI, api: AsyncClient, things: Things) -> None:
    answers = {}
    for operation in operations(app, last="DELETE"):
        for name in re.findall(r"{(\w+)}", operation.path) if operation.name not in ENDLESS else ():
            path = operation.path.replace(f"{{{name}}}", "a%00b").format_map(things)
            answers[f"{operation.name} {name}"] = await api.request(operation.method, path, json=FITS_ALL)
    of_endpoint = await api.get("/app/{app_id}/attempt/msg/{msg_id}".format_map(things), params={"endpoint_id": "\0"})

    refused = {case: answer.status_code for case, answer in answers.items() if answer.status_code not in {404, 422}}
    assert refused == {}
    assert len(answers) > 60
    assert of_endpoint.status_code == 404


async def test_text_that_cannot_be_kept_is_refused_where_it_is_looked_for(api: AsyncClient, things: Things) -> None:
    expired = await api.post(f"/auth/app/{things['app_id']}/expire-all", json={"sessionIds": ["a\0"]})
    tasks = await api.get("/background-task", params={"task": "a\0"})

    assert (expired.status_code, tasks.status_code) == (422, 422)


@pytest.mark.parametrize("edge", EDGES_OF_TIME)
async def test_the_edges_of_time_are_times_like_any_other(api: AsyncClient, things: Things, edge: str) -> None:
    endpoint = "/app/{app_id}/endpoint/{endpoint_id}".format_map(things)
    answers = [
        *[await api.get(f"{endpoint}/stats", params={bound: edge}) for bound in ("since", "until")],
        *[await api.post(f"{endpoint}/replay-missing", json=span) for span in spans(edge)],
        *[await api.post("/stats/usage/app", json=span) for span in spans(edge)],
        await api.post(f"/app/{things['app_id']}/msg", json=FITS_ALL | {"deliverAt": edge}),
    ]

    assert [answer.status_code for answer in answers if answer.status_code not in {200, 202, 400, 422}] == []


def spans(edge: str) -> list[dict[str, str]]:
    return [{"since": edge, "until": FITS_ALL["until"]}, {"since": FITS_ALL["since"], "until": edge}]


def optional(app: FastAPI, operation: Operation) -> set[str]:
    """The names of the fields that the operation's body may leave out."""
    document = app.openapi()
    described = document["paths"][f"/api/v1{operation.path}"][operation.method.lower()]
    media: dict[str, Any] = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
    schema = document["components"]["schemas"].get(name, {})
    return set(schema.get("properties", {})) - set(schema.get("required", ()))
