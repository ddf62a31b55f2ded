"""Each route is fed the worst that it must read, while somebody watches how long the event loop is away.

What is watched is the processor's time of the loop's own thread, since the clock of a busy machine says nothing.
"""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
import pytest
from httpx import AsyncClient

from service.application.exact_json import MAX_DIGITS
from service.domain.limits import MAX_BODY_BYTES
from tests.support.patience import patient, unhurried

AWAY = 0.1  # seconds of the processor in one go
TRIES = 5  # since a busy machine makes the same work longer: the best one counts
ROOM = MAX_BODY_BYTES - 1_000


def _many(part: bytes) -> bytes:
    return b"[" + b",".join([part] * (ROOM // (len(part) + 1))) + b"]"


def _event_type(schema: object) -> bytes:
    return orjson.dumps({"name": "worst", "description": "", "schemas": {"1": schema}})


def _types() -> bytes:
    return _event_type({"type": [part for number in range(8_000) for part in (number, str(number))]})


def _patterns() -> bytes:
    return _event_type({"anyOf": [{"pattern": f"(\\w{{20}}){{20}}{number}"} for number in range(3_500)]})


def _properties() -> bytes:
    return _event_type({"properties": {f"p{number}": {"type": "string"} for number in range(4_000)}})


def _environment() -> bytes:
    schemas = {"1": {"properties": {f"p{number}": {"type": "string"} for number in range(3_000)}}}
    types = [{"name": f"t{number}", "description": "", "schemas": schemas} for number in range(18)]
    return orjson.dumps({"eventTypes": types})


def _openapi() -> bytes:
    operation = {"post": {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}}
    return orjson.dumps({"spec": {"webhooks": {f"w{number}": operation for number in range(1_000)}}})


def _names() -> bytes:
    return b'{"eventType":"a.b","payload":{},' + b",".join(b'"%x":1' % number for number in range(180_000)) + b"}"


def _large_numbers() -> bytes:
    """Digits whose cost is squared, as many for a number as are read."""
    return b"[" + b",".join([b"9" * MAX_DIGITS] * 2_000) + b"]"


WORST: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "a schema of many types": ("POST", "/event-type", _types),
    "a schema of many patterns": ("POST", "/event-type", _patterns),
    "a schema of many properties": ("PUT", "/event-type/worst", _properties),
    "a change to a schema of many types": ("PATCH", "/event-type/worst", _types),
    "an environment of large schemas": ("POST", "/environment/import", _environment),
    "an environment of nothing": ("POST", "/environment/import", lambda: b'{"eventTypes":' + _many(b"{}") + b"}"),
    "a schema of large numbers": (
        "POST",
        "/event-type",
        lambda: b'{"name":"w","description":"","schemas":{"1":{"const":' + _large_numbers() + b"}}}",
    ),
    "an environment of large numbers": (
        "POST",
        "/environment/import",
        lambda: b'{"eventTypes":[{"name":"w","description":"","schemas":{"1":{"const":' + _large_numbers() + b"}}}]}",
    ),
    "a document of large numbers": (
        "POST",
        "/event-type/import/openapi",
        lambda: (
            b'{"spec":{"openapi":"3.1.0","webhooks":{"w":{"post":{"requestBody":{"content":{"application/json":'
            b'{"schema":{"const":' + _large_numbers() + b"}}}}}}}}}"
        ),
    ),
    "metadata of large numbers": (
        "POST",
        "/app",
        lambda: b'{"name":"n","metadata":{"a":' + _large_numbers() + b"}}",
    ),
    "a document of many webhooks": ("POST", "/event-type/import/openapi", _openapi),
    "a document of YAML": (
        "POST",
        "/event-type/import/openapi",
        lambda: orjson.dumps({"specRaw": "webhooks:\n" + "  - a\n" * 200_000}),
    ),
    "an application of empty lists": ("POST", "/app", lambda: b'{"name":' + _many(b"[]") + b"}"),
    "an application of much metadata": (
        "POST",
        "/app",
        lambda: orjson.dumps({"name": "a", "metadata": {str(number): 1 for number in range(90_000)}}),
    ),
    "an endpoint of many channels": (
        "POST",
        "/app/u/endpoint",
        lambda: orjson.dumps({"url": "http://a.example", "channels": [","] * 9_000}),
    ),
    "a message of empty lists": (
        "POST",
        "/app/u/msg",
        lambda: b'{"eventType":"a.b","payload":{"a":' + _many(b"[]") + b"}}",
    ),
    "a message of small numbers": (
        "POST",
        "/app/u/msg",
        lambda: b'{"eventType":"a.b","payload":{"a":' + _many(b"1") + b"}}",
    ),
    "an application of unknown names": (
        "POST",
        "/app",
        lambda: b'{"name":"a",' + b",".join(b'"%x":1' % number for number in range(90_000)) + b"}",
    ),
    "an endpoint of many headers": (
        "POST",
        "/app/u/endpoint",
        lambda: orjson.dumps({"url": "http://a.example", "headers": {str(number): number for number in range(90_000)}}),
    ),
    "an endpoint's many headers": (
        "PUT",
        "/app/u/endpoint/e/headers",
        lambda: orjson.dumps({"headers": {str(number): number for number in range(90_000)}}),
    ),
    "metadata of an endpoint": (
        "POST",
        "/app/u/endpoint",
        lambda: orjson.dumps({"url": "http://a.example", "metadata": dict.fromkeys(map(str, range(90_000)), 1)}),
    ),
    "a message of many headers": (
        "POST",
        "/app/u/msg",
        lambda: orjson.dumps(
            {
                "eventType": "a.b",
                "payload": {},
                "transformationsParams": {"headers": {str(number): number for number in range(120_000)}},
            }
        ),
    ),
    "a message of many channels": (
        "POST",
        "/app/u/msg",
        lambda: b'{"eventType":"a.b","payload":{},"channels":' + _many(b"1") + b"}",
    ),
    "a message of many lists for a name": (
        "POST",
        "/app/u/msg",
        lambda: b'{"eventType":' + _many(b"[]") + b',"payload":{}}',
    ),
    "a message of unknown names": ("POST", "/app/u/msg", _names),
    "a message of one long number": (
        "POST",
        "/app/u/msg",
        lambda: b'{"eventType":"a.b","payload":{"a":' + b"9" * ROOM + b"}}",
    ),
    "a file of two-byte lines": ("POST", "/app/u/msg/import", lambda: gzip.compress(b"{\n" * 131_072)),
    "a file of blank lines": ("POST", "/app/u/msg/import", lambda: gzip.compress(b"\n" * 900_000)),
    "an example of very many values": (
        "POST",
        "/app/u/endpoint/e/send-example",
        lambda: b'{"eventType":"a.b","payload":{"a":' + _many(b"[]") + b"}}",
    ),
    "an example of as many lists as are taken": (
        "POST",
        "/app/u/endpoint/e/send-example",
        lambda: b'{"eventType":"a.b","payload":{"a":[' + b",".join([b"[1,1,1,1]"] * 99_000) + b"]}}",
    ),
    "an example of many names": (
        "POST",
        "/app/u/endpoint/e/send-example",
        lambda: b'{"eventType":"a.b","payload":{' + b",".join(b'"%x":1' % each for each in range(180_000)) + b"}}",
    ),
    "an example of small numbers": (
        "POST",
        "/app/u/endpoint/e/send-example",
        lambda: b'{"eventType":"a.b","payload":{"a":' + _many(b"1") + b"}}",
    ),
    "an example of a large number": (
        "POST",
        "/app/u/endpoint/e/send-example",
        lambda: b'{"eventType":"a.b","payload":{"a":[' + b",".join([b"9" * 4_000] * 500) + b"]}}",
    ),
}


@asynccontextmanager
async def watching() -> AsyncIterator[list[float]]:
    """How much processor time the loop's thread spent between two wakings of somebody who waits for next to nothing."""
    away: list[float] = []

    async def watch() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            away.append(now - before)
            before = now

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)  # it looks at its clock for the first time
    try:
        yield away
        await asyncio.sleep(0.01)  # and for the last
    finally:
        watcher.cancel()


@pytest.fixture
async def endpoint(api: AsyncClient, application: str) -> None:
    """An endpoint `e` that answers nothing."""
    body = {"url": "http://127.0.0.1:9/", "uid": "e"}
    (await api.post(f"/app/{application}/endpoint", json=body)).raise_for_status()


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize("case", WORST)
async def test_the_loop_is_never_away_for_long(api: AsyncClient, case: str) -> None:
    method, path, written = WORST[case]
    body = written()
    assert len(body) <= MAX_BODY_BYTES

    at_best = float("inf")
    for _ in range(TRIES):
        async with watching() as away:
            answer = await api.request(method, path, content=body, timeout=patient(60))
        assert answer.status_code < 500, answer.text[:200]
        at_best = min(at_best, max(away))
        if at_best < unhurried(AWAY):
            break

    assert at_best < unhurried(AWAY)


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize("value", [b"1", b'"x"', b"[]", b'{"a":1}'])
async def test_a_payload_may_hold_as_many_values_as_fit_in_it(api: AsyncClient, value: bytes) -> None:
    message = b'{"eventType":"a.b","payload":{"a":[' + b",".join([value] * 200_000) + b"]}}"

    sent = await api.post("/app/u/msg", content=message)
    imported = await api.post("/app/u/msg/import", content=message)
    tried = await api.post("/app/u/endpoint/e/send-example", content=message)

    assert sent.status_code == 202
    assert len(sent.json()["payload"]["a"]) == 200_000
    assert imported.json()["accepted"] == 1
    assert tried.status_code == (422 if value[:1] in b"[{" else 200), "objects are made of an example"
