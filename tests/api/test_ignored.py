"""What a caller misspells is told in the answer, and where that likely does harm in a line of the log too."""

import gzip
import re
from typing import Any

import orjson
import pytest
from httpx import AsyncClient
from structlog.testing import capture_logs

from service.api.protocol.ignored import MAX_NAME_CHARACTERS, MAX_REPORTED_NAMES

ENDPOINT = {"url": "http://127.0.0.1:9/"}
MESSAGE: dict[str, Any] = {"eventType": "a.b", "payload": {"anything": 1}}
EVENT_TYPE = {"name": "a.b", "description": ""}

BODIES = [
    ("POST", "/app", {"name": "a", "metdata": {}}, "metdata", "metadata"),
    ("PUT", "/app/u", {"name": "a", "rate_limit": 1}, "rate_limit", "rateLimit"),
    ("PATCH", "/app/u", {"throttle_rate": 1}, "throttle_rate", "throttleRate"),
    ("POST", "/app/u/endpoint", ENDPOINT | {"event_types": ["a.b"]}, "event_types", "eventTypes"),
    ("POST", "/app/u/endpoint", ENDPOINT | {"filter-types": ["a.b"]}, "filter-types", "filterTypes"),
    ("POST", "/app/u/endpoint", ENDPOINT | {"chanels": ["a"]}, "chanels", "channels"),
    ("POST", "/app/u/endpoint", ENDPOINT | {"banana": 1}, "banana", None),
    ("POST", "/event-type", EVENT_TYPE | {"validate_payloads": True}, "validate_payloads", "validatePayloads"),
    ("POST", "/operational-webhook/endpoint", ENDPOINT | {"EventTypes": []}, "EventTypes", "eventTypes"),
    ("POST", "/auth/app-portal-access/u", {"readonly": True}, "readonly", "readOnly"),
    ("POST", "/auth/app-portal-access/u", {"application": {"name": "a", "UID": "u"}}, "application.UID", "uid"),
    ("POST", "/environment/import", {"eventTypes": [EVENT_TYPE | {"x": 1}]}, "eventTypes.x", None),
    ("POST", "/app/u/msg", MESSAGE | {"event_id": "1"}, "event_id", "eventId"),
    ("POST", "/app/u/msg", MESSAGE | {"delivery_at": None}, "delivery_at", "deliverAt"),
    ("POST", "/app/u/msg", MESSAGE | {"data": {}}, "data", None),
    ("POST", "/app/u/msg", MESSAGE | {"idempotencyKey": "1"}, "idempotencyKey", None),
    ("POST", "/app/u/msg", MESSAGE | {"application": {"name": "a", "Uid": "u"}}, "application.Uid", "uid"),
    (
        "POST",
        "/app/u/msg?with_content=true&x=1",
        MESSAGE | {"transformationsParams": {"raw_payload": "1"}},
        "x, transformationsParams.raw_payload",
        "rawPayload",
    ),
]
QUERIES = [
    ("/app", "iteratr=x", "iteratr", "iterator"),
    ("/app", "exclude_apps_with_no_endpoint=true", "exclude_apps_with_no_endpoint", "exclude_apps_with_no_endpoints"),
    ("/app/u/msg", "eventTypes=a", "eventTypes", "event_types"),
    ("/app/u/msg", "event_type=a", "event_type", "event_types"),
    ("/app/u/msg", "utm_source=mail", "utm_source", None),
    ("/app/u/msg/export", "withContent=false", "withContent", "with_content"),
    ("/event-type", "includeArchived=true", "includeArchived", "include_archived"),
    ("/background-task", "stats=x", "stats", "status"),
    ("/audit", "limits=1", "limits", "limit"),
    ("/app/u/import", "Limit=1", "Limit", "limit"),
    ("/health", "verbose=1", "verbose", None),
]


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(("method", "path", "body", "ignored", "meant"), BODIES)
async def test_a_field_that_nobody_reads_is_told(
    *, api: AsyncClient, method: str, path: str, body: dict[str, Any], ignored: str, meant: str | None
) -> None:
    with capture_logs() as lines:
        answer = await api.request(method, path, json=body)

    assert answer.headers["relevo-ignored"] == ignored
    assert [line["meant"] for line in lines if line["event"] == "request.ignored"] == ([[meant]] if meant else [])


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(("path", "query", "ignored", "meant"), QUERIES)
async def test_a_parameter_that_nobody_reads_is_told(
    *, api: AsyncClient, path: str, query: str, ignored: str, meant: str | None
) -> None:
    with capture_logs() as lines:
        answer = await api.get(f"{path}?{query}")

    assert answer.is_success
    assert answer.headers["relevo-ignored"] == ignored
    assert [line["meant"] for line in lines if line["event"] == "request.ignored"] == ([[meant]] if meant else [])


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/app/u/msg", {"event_type": "a.b", "payload": {}}, 422),
        ("POST", "/app/none/msg", MESSAGE | {"event_type": "a.b"}, 404),
        ("POST", "/app/u/endpoint", {"event_type": "a.b"}, 422),
        ("POST", "/app/none/endpoint", ENDPOINT | {"event_type": "a.b"}, 404),
        ("GET", "/app/none?event_type=1", None, 404),
        ("GET", "/app?limit=x&event_type=1", None, 400),
    ],
)
async def test_a_refusal_tells_it_too(*, api: AsyncClient, method: str, path: str, body: Any, status: int) -> None:
    answer = await api.request(method, path, json=body)

    assert (answer.status_code, answer.headers["relevo-ignored"]) == (status, "event_type")


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("path", ["/app/u/msg", "/app/u/endpoint"])
async def test_what_is_told_is_bounded_and_safe(api: AsyncClient, path: str) -> None:
    hostile = {f"\r\nX-Evil: {'é' * 100} {number}": 1 for number in range(200)} | {"": 1, "x" * 10_000: 1}

    answer = await api.post(path, json=MESSAGE | ENDPOINT | hostile)

    told = answer.headers["relevo-ignored"].split(", ")
    assert len(told) <= MAX_REPORTED_NAMES + 1
    assert all(re.fullmatch(rf'[A-Za-z0-9._\-\[\]%"]{{1,{MAX_NAME_CHARACTERS}}}', name) for name in told)
    assert "x-evil" not in answer.headers


@pytest.mark.usefixtures("application")
async def test_the_lines_of_a_file_are_told_once(api: AsyncClient) -> None:
    lines = b"".join(orjson.dumps(MESSAGE | {"event_id": str(number)}) + b"\n" for number in range(50))

    answer = await api.post("/app/u/msg/import", content=gzip.compress(lines))

    assert (answer.status_code, answer.json()["accepted"]) == (200, 50)
    assert answer.headers["relevo-ignored"] == "event_id"


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/app/u/msg", MESSAGE),
        ("POST", "/app/u/msg", {"eventType": "a.b", "data": {"event_type": 1}}),
        ("POST", "/app/u/endpoint", ENDPOINT | {"metadata": {"event_types": "x"}, "headers": {"X-Url": "1"}}),
        ("POST", "/app/u/endpoint", ENDPOINT | {"filterTypes": None, "rateLimit": 1}),
        ("POST", "/event-type", EVENT_TYPE | {"schemas": {"1": {"descriptions": 1}}}),
        ("GET", "/app/u/msg?event_types=a,b&event_types[]=a&event_types[0]=a&with_content=false", None),
        ("GET", "/app?limit=3&order=ascending", None),
    ],
)
async def test_what_is_read_is_not_told(
    *, api: AsyncClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = await api.request(method, path, json=body)

    assert answer.is_success
    assert "relevo-ignored" not in answer.headers
