"""The short way of a message past FastAPI, and the whole way: answer, line, point and SERVER span are the same.

Every request is sent twice over a real socket: as it is, and with a header field twice that nobody reads, which only
FastAPI's way takes.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from service.adapters.access.tokens import Tokens
from service.domain.tokens import MAX_LIFETIME
from service.observability.instrumentation import wants_more
from service.observability.telemetry import Telemetry
from tests.observability.conftest import Lines
from tests.observability.whole import Whole, running_whole
from tests.support.factories import ORG
from tests.support.otlp import Collector
from tests.support.processes import SECRET
from tests.support.serving import serving
from tests.support.signals import Span

ROUTE = "/api/v1/app/{app_id}/msg"
UNREAD = [("x-unread", "1"), ("x-unread", "2")]
PARENT = "0af7651916cd43dd8448eb211c80319c"
MESSAGE = {"eventType": "a.b", "payload": {"n": 1}}
LATE = {**MESSAGE, "deliverAt": "2026-01-01T00:00:00Z"}
RAW = {"eventType": "a.b", "payload": {}, "transformationsParams": {"rawPayload": "<a/>"}}
NEW = {**MESSAGE, "application": {"uid": "new", "name": "n"}}

BODIES: dict[str, Any] = {
    "usual": MESSAGE,
    "every field": {**MESSAGE, "channels": ["c"], "tags": ["t"], "payloadRetentionHours": 2},
    "data for payload": {"eventType": "a.b", "data": {}},
    "raw payload": RAW,
    "unknown names": {**MESSAGE, "event_id": 1, "banana": 2},
    "unknown names in a refusal": {"eventType": "a b", "payload": {}, "chanels": 1},
    "faults": {"eventType": 7, "payload": {}, "channels": []},
    "no object as payload": {"eventType": "a.b", "payload": 7},
    "too early": LATE,
    "no object": [1],
    "not JSON": b'{"eventType": ',
    "not UTF-8": b'{"eventType": "\xff"}',
    "nothing": b"",
    "too large": b" " * 2_200_000,
}
PATHS = ["/app/none/msg", "/app/u/msg?with_content=false", "/app/u/msg?with_content=true", "/app/u/msg?x=1"]
# What a caller may say beside the message, and is told or traced for it.
FIELDS: dict[str, dict[str, str]] = {
    "a request id": {"x-request-id": "Order.17_b-2"},
    "an SDK's request id": {"svix-req-id": "12345"},
    "no request id": {"x-request-id": "quote'"},
    "a trace": {"traceparent": f"00-{PARENT}-b7ad6b7169203331-01", "tracestate": "a=1,b=2", "baggage": "c=3"},
    "a trace that is not sampled": {"traceparent": f"00-{PARENT}-b7ad6b7169203331-00"},
    "no trace": {"traceparent": "00-1-2-3"},
    "a bot": {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"},
    "nobody": {"user-agent": ""},
    "another type": {"content-type": "text/plain"},
    "a proxy": {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https"},
    "an invalid token": {"authorization": "Bearer nonsense"},
    "the secret as a token": {"authorization": f"Bearer {SECRET}"},
    "blanks around the token": {"authorization": "Bearer  nonsense"},
    "a page": {"origin": "https://example.com"},
    "another scheme": {"authorization": "Basic nonsense"},
}
UNUSUAL = {"blanks around the token", "another scheme", "a page"}


@pytest.fixture
async def whole(database: str, telemetry: Telemetry, lines: Lines) -> AsyncIterator[Whole]:
    assert not lines.getvalue()
    async with running_whole(telemetry, database=database) as whole:
        await whole.made("/app", {"name": "a", "uid": "u"})
        yield whole


@pytest.fixture
async def client(whole: Whole) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application by uvicorn's protocol."""

    async def running(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":  # its lifespan has begun already
            await whole.app(scope, receive, send)
            return
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})

    token = {"authorization": whole.api.headers["authorization"]}
    async with (
        serving(running) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", headers=token) as client,
    ):
        yield client


class Both:
    """Sends a request by either way, and compares what there is of it."""

    def __init__(self, client: httpx.AsyncClient, telemetry: Telemetry, collector: Collector, lines: Lines) -> None:
        self._client = client
        self._telemetry = telemetry
        self._collector = collector
        self._lines = lines

    async def alike(
        self,
        path: str = "/app/u/msg",
        body: Any = MESSAGE,
        *,
        fields: Mapping[str, str] = MappingProxyType({}),
        unusual: bool = False,
    ) -> int:
        """The status of both. What is `unusual` takes the whole way without a reason of ours."""
        short, whole = [await self._sent(path, body, [*fields.items(), *extra]) for extra in ([], UNREAD)]

        assert (short.pop("spans"), whole.pop("spans")) == (2 if unusual else 1, 2)
        for what, told in short.items():
            assert (what, told) == (what, whole[what])
        return int(short["status"])

    async def _sent(self, path: str, body: Any, fields: list[tuple[str, str]]) -> dict[str, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        told, counted = len(self._lines.all), self._counted()

        answer = await self._client.post(path, content=content, headers=[*self._others(fields), *fields])
        span_id = answer.headers["traceresponse"].split("-")[2]
        await asyncio.to_thread(self._collector.wait_for, lambda seen: any(s.span_id == span_id for s in seen.spans))
        (server,) = [span for span in self._collector.spans if span.span_id == span_id]
        # It ended before the SERVER span, and came no later.
        below = [span for span in self._collector.spans if (span.parent_id, span.name) == (span_id, "request")]
        spans = [server, *below]
        # A library may have something to say meanwhile that is no part of the request.
        lines = [line for line in self._lines.all[told:] if {"correlation_id", "trace_id"} & line.keys()]
        return {
            "spans": len(spans),
            "status": answer.status_code,
            "headers": [*map(_lasting(answer, server), answer.headers.raw)],
            "body": _without_ids(answer.content),
            "lines": [_without_times(line) for line in lines],
            "points": {key: count - counted.get(key, 0) for key, count in self._counted().items()},
            "server": (server.name, server.kind, server.failed, server.message, server.events, server.links),
            "parent": (server.parent_id, server.trace_id == PARENT),
            "attributes": _joined(spans),
            "correlated": {span.attributes["relevo.correlation_id"] for span in spans}
            == {answer.headers["x-request-id"]}
            == {line["correlation_id"] for line in lines},
        }

    def _others(self, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
        given = {name for name, _ in fields}
        others = {"authorization": self._client.headers["authorization"], "content-type": "application/json"}
        return [(name, value) for name, value in others.items() if name not in given]

    def _counted(self) -> dict[Any, float]:
        return {
            (sample.name, *sample.labels.items()): sample.value
            for family in self._telemetry.registry.collect()
            for sample in family.samples
            if sample.name in {"http_server_request_duration_seconds_count", "http_server_active_requests"}
        }


@pytest.fixture
def both(client: httpx.AsyncClient, telemetry: Telemetry, collector: Collector, lines: Lines) -> Both:
    return Both(client, telemetry, collector, lines)


async def test_whatever_the_body_both_ways_are_alike(both: Both) -> None:
    statuses = {name: await both.alike(body=body) for name, body in BODIES.items()}

    assert {status for name, status in statuses.items() if status == 202} == {202}
    assert set(statuses.values()) == {202, 413, 422}


async def test_whatever_is_asked_for_both_ways_are_alike(both: Both) -> None:
    statuses = [await both.alike(path, unusual=path.endswith("x=1")) for path in PATHS]

    assert statuses == [404, 202, 202, 202]


async def test_whatever_is_told_beside_the_message_both_ways_are_alike(both: Both) -> None:
    statuses = {name: await both.alike(fields=fields, unusual=name in UNUSUAL) for name, fields in FIELDS.items()}

    assert sorted(set(statuses.values())) == [202, 401]


async def test_a_repetition_and_an_event_id_that_is_taken_are_alike(both: Both, client: httpx.AsyncClient) -> None:
    key = {"idempotency-key": "k"}
    first = await client.post("/app/u/msg", content=json.dumps({**MESSAGE, "eventId": "e"}), headers=key)

    statuses = [
        await both.alike(body={**MESSAGE, "eventId": "e"}, fields=key),
        await both.alike(body=MESSAGE, fields=key),
        await both.alike(body={**MESSAGE, "eventId": "e"}),
        await both.alike(body={**MESSAGE, "eventId": "e"}, fields={"idempotency-key": ""}),
        await both.alike("/app/new/msg", body=NEW),
    ]

    assert first.status_code == 202
    assert statuses == [202, 422, 409, 409, 202]


@pytest.mark.parametrize("kind", ["reader", "application"])
async def test_whoever_may_not_send_is_refused_alike(both: Both, whole: Whole, kind: str) -> None:
    now, tokens = datetime.now(UTC), Tokens(SECRET)
    token = tokens.mint(ORG, now=now, role="reader", lifetime=MAX_LIFETIME)
    if kind == "application":
        token = str((await whole.made("/auth/app-portal-access/u", {}))["token"])

    assert await both.alike(fields={"authorization": f"Bearer {token}"}) == 403


async def test_where_the_instrumentation_is_asked_for_more_it_sees_every_request(
    database: str, telemetry: Telemetry, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "x-of-interest")
    async with running_whole(telemetry, database=database) as whole:
        await whole.api.post("/api/v1/app/u/msg", json=MESSAGE, headers={"x-of-interest": "1"})

        await asyncio.to_thread(collector.wait_for, lambda seen: any(s.name == f"POST {ROUTE}" for s in seen.spans))
    assert collector.span(f"POST {ROUTE}").attributes.keys() >= {"http.request.header.x_of_interest"}


@pytest.mark.parametrize(
    ("environ", "more"),
    [
        ({}, False),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}, False),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "Database, HTTP"}, False),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "database"}, True),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "http/dup"}, True),
        ({"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "x-request-id"}, True),
    ],
)
def test_other_conventions_and_captured_headers_are_more(environ: dict[str, str], *, more: bool) -> None:
    assert wants_more(environ) is more


def _lasting(answer: httpx.Response, server: Span) -> Callable[[tuple[bytes, bytes]], tuple[bytes, bytes]]:
    """A header of the answer, without what no two answers share."""
    fresh = f"00-{server.trace_id}-{server.span_id}-"
    request_id = answer.headers["x-request-id"] if answer.headers["x-request-id"].isalnum() else None

    def lasting(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        name, value = header[0], header[1].decode()
        if name == b"date":
            return name, b""
        return name, value.replace(fresh, "").replace(request_id or fresh, "").encode()

    return lasting


def _without_ids(body: bytes) -> Any:
    told = json.loads(body)
    return {**told, "id": None, "timestamp": None} if "id" in told else told


def _without_times(line: dict[str, Any]) -> dict[str, Any]:
    fresh = {"timestamp", "duration_ms", "trace_id", "span_id", "message_id", "correlation_id"}
    return {name: name if name in fresh else value for name, value in line.items()}


def _joined(spans: list[Span]) -> dict[str, Any]:
    """The attributes of the SERVER span and, where there is one, of the INTERNAL span below it."""
    fresh = {"relevo.message.id", "relevo.correlation_id", "client.port"}
    found = {name: value for span in spans for name, value in span.attributes.items()}
    return {name: type(value) if name in fresh else value for name, value in found.items()}
