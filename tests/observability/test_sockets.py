"""One span, one line, one point and one correlation id for a WebSocket, however it ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.api.protocol.sockets import SocketProtocol
from service.observability.telemetry import Telemetry
from tests.observability.conftest import Lines
from tests.observability.site import make_site
from tests.support.otlp import Collector
from tests.support.patience import patient
from tests.support.serving import serving
from tests.support.waiting import eventually

ROUTE = "/api/v1/app/{app_id}/socket"
MARKER = "only-the-caller-knows"


@pytest.fixture
def app(telemetry: Telemetry) -> FastAPI:
    return make_site(telemetry)


@pytest.fixture
async def port(app: FastAPI, lines: Lines) -> AsyncIterator[int]:
    assert not lines.getvalue()
    async with serving(app, websockets=SocketProtocol) as port:
        yield port


def url(port: int, app_id: str) -> str:
    return f"ws://127.0.0.1:{port}/api/v1/app/{app_id}/socket?token={MARKER}"


async def finished(lines: Lines) -> dict[str, object]:
    """The line of the connection, once it is there."""
    await eventually(lambda: lines.of("request.finished"), within=patient(10))
    return lines.one("request.finished")


async def test_it_is_one_span_one_line_and_one_point_with_the_callers_id(
    port: int, collector: Collector, lines: Lines, telemetry: Telemetry
) -> None:
    headers = {"x-request-id": "order-17", "user-agent": MARKER}
    async with connect(url(port, "7"), additional_headers=headers, subprotocols=[MARKER], proxy=None) as socket:  # type: ignore[list-item]  # plain text
        await socket.recv()
        await socket.send("bye")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    line = await finished(lines)
    await asyncio.to_thread(collector.wait_for, lambda seen: len(seen.spans) == 1)

    assert socket.response is not None
    assert socket.response.headers["x-request-id"] == line["correlation_id"] == "order-17"
    assert (line["route"], line["status"], line["ending"], line["close_code"]) == (ROUTE, 101, "complete", 1001)
    (span,) = collector.spans
    assert (span.name, span.kind, span.failed) == (f"GET {ROUTE}", "SERVER", False)
    labels = {"http_request_method": "GET", "http_route": ROUTE, "http_response_status_code": "101", "url_scheme": "ws"}
    assert telemetry.registry.get_sample_value("http_server_request_duration_seconds_count", labels) == 1
    assert MARKER not in lines.getvalue() + repr(collector.spans) + repr(collector.logs)


async def test_a_client_that_goes_away_is_told_as_such(port: int, lines: Lines) -> None:
    async with connect(url(port, "7"), proxy=None) as socket:
        await socket.recv()
    line = await finished(lines)

    assert (line["status"], line["ending"], line["close_code"]) == (101, "disconnected", 1000)


async def test_an_offer_that_is_refused_has_the_status_of_its_answer(port: int, lines: Lines) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(url(port, "none"), proxy=None)
    line = await finished(lines)

    assert refused.value.response.headers["x-request-id"] == line["correlation_id"]
    assert (line["status"], line["ending"]) == (401, "complete")


async def test_a_fault_of_ours_is_one_error_and_closes_the_connection(port: int, lines: Lines) -> None:
    async with connect(url(port, "fault"), proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as ended:
            await socket.recv()
    line = await finished(lines)

    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1011
    assert (line["status"], line["ending"], line["level"]) == (101, "broken", "warning")
    assert [each["event"] for each in lines.all if each["level"] == "error"] == ["request.failed"]
