"""One SERVER span, one line, one point and one correlation id for whatever happens to a request."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from service.observability.logging import configure_logging
from service.observability.telemetry import Telemetry, open_telemetry
from tests.observability.conftest import Lines
from tests.observability.site import SLOWLY, make_site
from tests.support.otlp import Collector
from tests.support.serving import serving

ANSWERED = {"http.response.status_code": 200}
DURATION = "http.server.request.duration"
PARENT = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def app(telemetry: Telemetry) -> FastAPI:
    return make_site(telemetry)


@pytest.fixture
async def client(app: FastAPI, lines: Lines) -> AsyncIterator[httpx.AsyncClient]:
    assert not lines.getvalue()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://relevo.test") as client:
        yield client


@pytest.mark.parametrize(
    ("request_line", "name", "status"),
    [
        ("GET /api/v1/app/7", "GET /api/v1/app/{app_id}", 200),
        ("GET /api/v1/app/7?q=1", "GET /api/v1/app/{app_id}", 200),
        ("DELETE /api/v1/app/7", "DELETE /api/v1/app/{app_id}", 405),
        ("GET /nowhere/7", "GET", 404),
        ("BREW /nowhere/7", "HTTP", 404),
        ("GET /api/v1/refused", "GET /api/v1/refused", 409),
        ("GET /api/v1/stream", "GET /api/v1/stream", 200),
        ("GET /api/v1/crash", "GET /api/v1/crash", 500),
    ],
)
async def test_every_request_has_one_server_span_named_by_template(
    client: httpx.AsyncClient, collector: Collector, request_line: str, name: str, status: int
) -> None:
    response = await client.request(*request_line.split())

    assert response.status_code == status
    collector.wait_for(lambda seen: len(seen.spans) == 2)
    (server,) = [span for span in collector.spans if span.kind == "SERVER"]
    assert server.name == name
    assert server.failed is (status >= 500)
    assert collector.span("request").parent_id == server.span_id
    assert collector.span("request").kind == "INTERNAL"


@pytest.mark.parametrize(
    ("request_line", "labels"),
    [
        ("GET /api/v1/app/7", {"http.request.method": "GET", "http.route": "/api/v1/app/{app_id}", **ANSWERED}),
        (
            "GET /api/v1/crash",
            {
                "http.request.method": "GET",
                "http.route": "/api/v1/crash",
                "http.response.status_code": 500,
                "error.type": "RuntimeError",
            },
        ),
        ("GET /nowhere/7", {"http.request.method": "GET", "http.response.status_code": 404}),
    ],
)
async def test_every_request_is_one_point_with_all_of_its_labels(
    client: httpx.AsyncClient, collector: Collector, request_line: str, labels: dict[str, object]
) -> None:
    await client.request(*request_line.split())

    collector.wait_for(lambda seen: any(point.metric == DURATION for point in seen.points))
    (point,) = [point for point in collector.points if point.metric == DURATION]
    assert dict(point.labels) == {"url.scheme": "http", **labels}


async def test_a_callers_trace_is_continued_and_answered_even_if_the_caller_does_not_sample(
    client: httpx.AsyncClient, collector: Collector
) -> None:
    headers = {"traceparent": f"00-{PARENT}-b7ad6b7169203331-00", "baggage": "marker=1"}

    response = await client.get("/api/v1/app/7", headers=headers)

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    server = collector.span("GET /api/v1/app/{app_id}")
    assert (server.trace_id, server.parent_id) == (PARENT, "b7ad6b7169203331")
    assert response.headers["traceresponse"].startswith(f"00-{PARENT}-{server.span_id}-")
    assert b"marker" not in collector.everything


@pytest.mark.parametrize(
    ("headers", "trace"),
    [({}, r"(?!0{32})[0-9a-f]{32}"), ({"traceparent": f"00-{PARENT}-b7ad6b7169203331-01"}, PARENT)],
)
async def test_where_no_span_is_exported_answers_and_lines_have_a_trace_all_the_same(
    collector: Collector, headers: dict[str, str], trace: str
) -> None:
    lines = Lines()
    environ = collector.environ() | {"OTEL_TRACES_EXPORTER": "none"}
    async with open_telemetry(role="test", version="1", environ=environ) as telemetry:
        configure_logging(logger_provider=telemetry.logger_provider, stream=lines)
        transport = httpx.ASGITransport(make_site(telemetry))
        async with httpx.AsyncClient(transport=transport, base_url="http://relevo.test") as client:
            response = await client.get("/api/v1/app/7", headers=headers)

    answered = re.fullmatch(rf"00-({trace})-([0-9a-f]{{16}})-0[02]", response.headers["traceresponse"])
    assert answered is not None
    assert lines.one("request.finished")["trace_id"] == answered[1]
    assert not collector.spans


@pytest.mark.parametrize(
    "path", ["/api/v1/app/7", "/nowhere", "/api/v1/refused", "/api/v1/crash", "/api/v1/stream", "/livez", "/metrics"]
)
async def test_an_acceptable_request_id_comes_back_on_every_answer(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"x-request-id": "Order.17_b-2"})

    assert response.headers.get_list("x-request-id") == ["Order.17_b-2"]


@pytest.mark.parametrize("given", ["", "a" * 65, "new\tline", "quote'", "ä"])
async def test_an_unacceptable_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/api/v1/app/7", headers={b"x-request-id": given.encode()})

    assert response.headers["x-request-id"] != given
    assert response.headers["x-request-id"].isalnum()


async def test_the_sdks_request_id_counts_when_there_is_no_other(client: httpx.AsyncClient) -> None:
    alone = await client.get("/api/v1/app/7", headers={"svix-req-id": "12345"})
    beside = await client.get("/api/v1/app/7", headers={"svix-req-id": "12345", "x-request-id": "mine"})

    assert alone.headers["x-request-id"] == "12345"
    assert beside.headers["x-request-id"] == "mine"


async def test_the_correlation_id_is_on_line_span_and_exported_record(
    client: httpx.AsyncClient, collector: Collector, lines: Lines
) -> None:
    await client.get("/api/v1/app/7", headers={"x-request-id": "order-17"})

    collector.wait_for(lambda seen: len(seen.spans) == 2 and bool(seen.logs))
    line, (record,) = lines.one("request.finished"), collector.logs
    assert line["correlation_id"] == record.attributes["correlation_id"] == "order-17"
    assert {span.attributes["relevo.correlation_id"] for span in collector.spans} == {"order-17"}
    assert {span.trace_id for span in collector.spans} == {line["trace_id"], record.trace_id}
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/app/{app_id}", 200)


async def test_an_unhandled_exception_is_one_error_record_and_a_500_without_its_text(
    client: httpx.AsyncClient, collector: Collector, lines: Lines
) -> None:
    response = await client.get("/api/v1/crash", headers={"x-request-id": "order-17"})

    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    (error,) = [line for line in lines.all if line["level"] == "error"]
    assert (error["event"], error["correlation_id"]) == ("request.failed", "order-17")
    assert "in crash" in error["exception.stacktrace"]
    collector.wait_for(lambda seen: len(seen.spans) == 2 and len(seen.logs) >= len(lines.all))
    (record,) = [record for record in collector.logs if record.severity == "ERROR"]
    assert (record.body, record.attributes["correlation_id"]) == ("request.failed", "order-17")
    assert record.attributes["exception.stacktrace"] == error["exception.stacktrace"]
    assert collector.span("GET /api/v1/crash").attributes["exception.type"] == "RuntimeError"
    assert "marker" not in lines.getvalue()
    assert not [span for span in collector.spans if span.events or span.message]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/healthz", "/metrics"])
async def test_probes_leave_no_trace(client: httpx.AsyncClient, collector: Collector, lines: Lines, path: str) -> None:
    await client.get(path)
    await client.get("/api/v1/app/7")

    collector.wait_for(lambda seen: len(seen.spans) >= 2)
    assert {span.name for span in collector.spans} == {"GET /api/v1/app/{app_id}", "request"}
    assert len(lines.all) == 1


async def test_unmatched_paths_and_odd_methods_add_one_series_each(
    client: httpx.AsyncClient, telemetry: Telemetry, collector: Collector
) -> None:
    for number in range(200):
        await client.get(f"/nowhere/{number}")
    for number in range(20):
        await client.request(f"BREW{number}", "/nowhere")

    counts = [
        sample
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_count"
    ]
    assert [(count.labels["http_request_method"], count.value) for count in counts] == [("GET", 200), ("_OTHER", 20)]
    collector.wait_for(lambda seen: len(seen.spans) == 440)
    assert {span.name for span in collector.spans} == {"GET", "HTTP", "request"}


async def test_what_a_caller_writes_is_in_no_signal(
    client: httpx.AsyncClient, collector: Collector, lines: Lines
) -> None:
    headers = {"authorization": "Bearer marker", "user-agent": "marker", "x-custom": "marker"}

    await client.get("/api/v1/app/marker?token=marker", headers=headers)
    await client.get("/marker?token=marker", headers=headers)
    metrics = await client.get("/metrics")

    collector.wait_for(lambda seen: len(seen.spans) == 4 and len(seen.logs) == 2)
    collector.wait_for(lambda seen: any(point.metric == "http.server.request.duration" for point in seen.points))
    assert b"marker" not in collector.everything
    assert "marker" not in lines.getvalue() + metrics.text


async def test_a_stream_that_fails_midway_is_broken_for_the_client_and_an_error_on_the_span(
    app: FastAPI, collector: Collector, lines: Lines
) -> None:
    async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/api/v1/stream?fails=true")

    collector.wait_for(lambda seen: any(span.kind == "SERVER" for span in seen.spans))
    server = collector.span("GET /api/v1/stream")
    assert server.failed
    assert server.attributes["error.type"] == "RuntimeError"
    assert lines.one("request.finished")["ending"] == "broken"
    assert len([line for line in lines.all if line["level"] == "error"]) == 1
    assert b"marker" not in collector.everything


async def test_the_spans_of_a_stream_last_to_its_head_and_to_its_end(
    client: httpx.AsyncClient, collector: Collector
) -> None:
    await client.get("/api/v1/slow-stream")

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    server, request = collector.span("GET /api/v1/slow-stream"), collector.span("request")
    assert request.seconds < SLOWLY <= server.seconds


async def test_a_client_that_goes_away_is_told_as_such_and_is_no_error(
    app: FastAPI, lines: Lines, collector: Collector
) -> None:
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/endless HTTP/1.1\r\nhost: relevo\r\n\r\n")
        await reader.readexactly(100_000)
        writer.close()
        await asyncio.to_thread(collector.wait_for, lambda seen: bool(seen.logs))

    assert lines.one("request.finished")["ending"] == "disconnected"
    assert not [line for line in lines.all if line["level"] in {"error", "warning"}]


@pytest.mark.parametrize("path", ["/api/v1/late", "/api/v1/background"])
async def test_a_failure_after_the_answer_is_counted_and_told_with_its_trace(
    client: httpx.AsyncClient, telemetry: Telemetry, lines: Lines, path: str
) -> None:
    response = await client.get(path, headers={"x-request-id": "order-17"})

    assert response.status_code == 200
    error = lines.one("request.failed_after_answer")
    assert error["correlation_id"] == "order-17"
    assert error["trace_id"] == response.headers["traceresponse"].split("-")[1]
    assert telemetry.registry.get_sample_value("relevo_request_failed_after_answer_total") == 1


async def test_a_request_in_flight_is_counted_until_its_last_byte(app: FastAPI, telemetry: Telemetry) -> None:
    active = {"http_request_method": "GET", "url_scheme": "http"}

    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/endless HTTP/1.1\r\nhost: relevo\r\n\r\n")
        await reader.readexactly(100)
        during = telemetry.registry.get_sample_value("http_server_active_requests", active)
        writer.close()

    assert during == 1
    assert telemetry.registry.get_sample_value("http_server_active_requests", active) == 0
