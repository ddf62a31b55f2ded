"""However many say the same at once, one creates it and the others replace it: nobody is refused, nothing breaks."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.postgres.server.database import POOL_OVERFLOW, POOL_SIZE

# As many as have a connection at once: who waits for one is refused in the end, and sooner on a busy machine.
AT_ONCE = POOL_SIZE + POOL_OVERFLOW
ENDPOINT = {"url": "http://127.0.0.1:9/", "uid": "same"}
DESTINATION = {"type": "fifoEndpoint", "config": {"url": "http://127.0.0.1:9/"}, "uid": "same"}
EVENT_TYPE = {"description": "d"}
NAMES = [f"type.{number}" for number in range(6)]
UPSERTS: list[tuple[str, str, dict[str, Any], set[int]]] = [
    ("PUT", "/app/same", {"name": "n", "uid": "same"}, {200, 201}),
    ("POST", "/app?get_if_exists=true", {"name": "n", "uid": "same"}, {200, 201}),
    ("PUT", "/app/u/endpoint/same", ENDPOINT, {200, 201}),
    ("PUT", "/app/u/destination/same", DESTINATION, {200, 201}),
    ("PUT", "/operational-webhook/endpoint/same", ENDPOINT, {200, 201}),
    ("PUT", "/event-type/same", EVENT_TYPE, {200, 201}),
    ("PUT", "/app/u/endpoint/same/headers", {"headers": {"X-One": "1"}}, {204, 404}),
    (
        "POST",
        "/auth/app-portal-access/same",
        {"application": {"name": "n", "uid": "same"}},
        {200},
    ),
    (
        "POST",
        "/app/same/msg",
        {"eventType": "t", "payload": {}, "application": {"name": "n", "uid": "same"}},
        {202},
    ),
    ("POST", "/environment/import", {"eventTypes": [EVENT_TYPE | {"name": name} for name in NAMES]}, {204}),
    (
        "POST",
        "/event-type/import/openapi",
        {
            "spec": {
                "openapi": "3.1.0",
                "info": {"title": "t", "version": "1"},
                "webhooks": {name: {"post": {}} for name in NAMES},
            }
        },
        {200, 400, 429},  # reading is bounded by a time that a busy machine may not have
    ),
]
CREATING = dict.fromkeys(
    (
        "/app/same",
        "/app/u/endpoint/same",
        "/app/u/destination/same",
        "/operational-webhook/endpoint/same",
        "/event-type/same",
    ),
    1,
)


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(("method", "path", "body", "expected"), UPSERTS, ids=[f"{row[0]} {row[1]}" for row in UPSERTS])
async def test_of_many_at_once_none_is_refused(  # a row of the table
    api: AsyncClient, method: str, path: str, body: dict[str, Any], expected: set[int]
) -> None:
    answers = await asyncio.gather(*(api.request(method, path, json=_turned(body, n)) for n in range(AT_ONCE)))

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() <= expected, [answer.text for answer in answers if answer.status_code not in expected][:1]
    assert statuses[201] == CREATING.get(path, statuses[201])


@pytest.mark.usefixtures("application")
async def test_upserts_and_removals_at_once_refuse_nobody_either(api: AsyncClient) -> None:
    paths = ("/app/same", "/app/u/endpoint/same", "/event-type/same")
    bodies = ({"name": "n", "uid": "same"}, ENDPOINT, EVENT_TYPE)

    answers = await asyncio.gather(
        *(api.put(path, json=body) for path, body in zip(paths, bodies, strict=True) for _ in range(4)),
        *(api.delete(path, params={"expunge": "true"}) for path in paths for _ in range(2)),
    )

    assert {answer.status_code for answer in answers} <= {200, 201, 204, 404}, [answer.text for answer in answers]


def _turned(body: dict[str, Any], turn: int) -> dict[str, Any]:
    """The same, every other time with its list the other way round."""
    return {name: value[::-1] if isinstance(value, list) and turn % 2 else value for name, value in body.items()}
