"""Files of messages: every line is taken once or reported, whatever the file is like."""

import gzip
import json
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from httpx import AsyncClient, Response

from service.adapters.postgres.engine import Database
from service.api.services import Services

GOOD = {"eventType": "invoice.paid", "payload": {"id": 1}}
BROKEN = [
    b"{",
    b"[]",
    b"\xff",
    b'{"eventType": "invoice.paid"}',
    b'{"payload": {}}',
    b'{"eventType": "in voice", "payload": {}}',
    b'{"eventType": "invoice.paid", "payload": []}',
    b'{"eventType": "invoice.paid", "payload": {}, "channels": []}',
]


def line(number: int) -> bytes:
    return json.dumps(GOOD | {"payload": {"id": number}}).encode()


async def send(api: AsyncClient, file: bytes, *, file_id: str | None = None) -> Response:
    params = {} if file_id is None else {"file_id": file_id}
    return await api.post("/app/u/msg/import", params=params, content=in_pieces(file), timeout=60)


async def in_pieces(file: bytes, size: int = 60_000) -> AsyncIterator[bytes]:
    for first in range(0, len(file), size):
        yield file[first : first + size]


async def faulty_lines(api: AsyncClient, import_id: str) -> list[int]:
    found: list[int] = []
    params: dict[str, Any] = {"limit": 30}
    while True:
        page = (await api.get(f"/app/u/msg/import/{import_id}/fault", params=params)).json()
        found += [fault["line"] for fault in page["data"]]
        if page["done"]:
            return found
        params["iterator"] = page["iterator"]


@pytest.mark.usefixtures("application")
@pytest.mark.timeout(120)
async def test_of_ten_thousand_lines_exactly_the_broken_ones_are_reported(api: AsyncClient, postgres: Database) -> None:
    broken = set(random.Random(7).sample(range(1, 10_001), 100))
    lines = [BROKEN[number % len(BROKEN)] if number in broken else line(number) for number in range(1, 10_001)]

    answer = (await send(api, gzip.compress(b"\n".join(lines)))).json()

    assert {name: answer[name] for name in ("status", "lines", "accepted", "repeated", "refused")} == {
        "status": "finished",
        "lines": 10_000,
        "accepted": 9_900,
        "repeated": 0,
        "refused": 100,
    }
    assert await faulty_lines(api, answer["id"]) == sorted(broken)
    sent = await postgres.pool.fetch("SELECT payload FROM message")
    assert {json.loads(row["payload"])["id"] for row in sent} == set(range(1, 10_001)) - broken
    assert len(sent) == 9_900


@pytest.mark.usefixtures("application")
async def test_a_file_that_is_sent_again_is_not_taken_twice(api: AsyncClient, postgres: Database) -> None:
    whole = b"".join(line(number) + b"\n" for number in range(1, 1001))
    half = whole[: len(whole) // 2 + 10]

    first = await send(api, half, file_id="january")
    again = await send(api, whole, file_id="january")
    found = await api.get("/app/u/msg/import/january")

    taken = first.json()["accepted"]
    assert first.json()["refused"] == 1, "the line that was cut through"
    assert again.json()["id"] == first.json()["id"]
    assert (again.json()["accepted"], again.json()["repeated"], again.json()["refused"]) == (1000 - taken, taken, 0)
    assert found.json() == again.json()
    assert await postgres.pool.fetchval("SELECT count(*) FROM message") == 1000


@pytest.mark.usefixtures("application")
async def test_a_line_that_says_something_else_the_second_time_is_refused(api: AsyncClient) -> None:
    await send(api, line(1), file_id="f")

    again = await send(api, line(2), file_id="f")

    assert again.json()["refused"] == 1
    faults = (await api.get("/app/u/msg/import/f/fault")).json()["data"]
    assert [(fault["line"], fault["code"]) for fault in faults] == [(1, "idempotency_key_reused")]


@pytest.mark.usefixtures("application")
async def test_an_upload_that_breaks_off_keeps_what_came_and_says_that_it_failed(
    api: AsyncClient, services: Services
) -> None:
    whole = gzip.compress(b"\n".join(line(number) for number in range(1, 2001)), 0)

    answer = await send(api, whole[: len(whole) // 2], file_id="cut")
    found = (await api.get("/app/u/msg/import/cut")).json()

    assert answer.status_code == 400
    assert answer.json()["code"] == "unreadable_file"
    assert found["status"] == "failed"
    assert 0 < found["accepted"] < 2000


def unusual_files() -> Iterator[tuple[str, bytes, int, list[int]]]:
    yield "empty", b"", 0, []
    yield "blank lines", b"\n\n \r\n" + line(1) + b"\r\n\n", 1, []
    yield "a byte order mark", b"\xef\xbb\xbf" + line(1), 1, []
    yield "no line break at the end", line(1) + b"\n" + line(2), 2, []
    yield "gzip in two members", gzip.compress(line(1) + b"\n") + gzip.compress(line(2)), 2, []
    yield "a line that is too long", b'{"a":"' + b"x" * 5_000_000 + b'"}\n' + line(2), 1, [1]
    yield "a bomb", gzip.compress(b"x" * 50_000_000 + b"\n" + line(2)), 1, [1]
    yield "not gzip after all", b"\x1f\x8b" + line(1), 0, []


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(
    ("name", "file", "accepted", "faulty"), list(unusual_files()), ids=lambda value: str(value)[:30]
)
async def test_an_unusual_file_is_read_for_what_it_is(
    api: AsyncClient, name: str, file: bytes, accepted: int, faulty: list[int]
) -> None:
    answer = await send(api, file, file_id="f")
    found = (await api.get("/app/u/msg/import/f")).json()

    assert answer.status_code == (400 if name == "not gzip after all" else 200)
    assert found["accepted"] == accepted
    assert await faulty_lines(api, found["id"]) == faulty


@pytest.mark.usefixtures("application")
async def test_a_line_whose_payload_breaks_its_schema_is_refused_alone(api: AsyncClient) -> None:
    schema = {"1": {"properties": {"id": {"type": "integer"}}}}
    event_type = {"name": "invoice.paid", "description": "", "schemas": schema, "validatePayloads": True}
    await api.post("/event-type", json=event_type)
    lines = [line(1), json.dumps(GOOD | {"payload": {"id": "two"}}).encode(), line(3)]

    answer = await send(api, b"\n".join(lines))

    assert (answer.json()["accepted"], answer.json()["refused"]) == (2, 1)
    assert await faulty_lines(api, answer.json()["id"]) == [2]


async def test_there_has_to_be_an_application(api: AsyncClient) -> None:
    answer = await api.post("/app/nobody/msg/import", content=line(1))

    assert answer.status_code == 404
