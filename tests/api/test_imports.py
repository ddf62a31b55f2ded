"""Files of messages: every line is taken once or reported, whatever the file is like."""

import asyncio
import gzip
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response

from service.adapters.postgres.server.database import Database
from service.adapters.postgres.upkeep import PostgresUpkeep
from service.api.services import Services
from service.domain.imports import MAX_LISTED_FAULTS, MAX_REFUSED_LINES
from tests.api.served import served
from tests.support.message_files import line, lines
from tests.support.patience import patient


async def send(api: AsyncClient, file: bytes, *, file_id: str | None = None) -> Response:
    params = {} if file_id is None else {"file_id": file_id}
    return await api.post("/app/u/msg/import", params=params, content=in_pieces(file), timeout=patient(60))


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
async def test_exactly_the_broken_lines_are_reported_and_the_rest_is_taken(
    api: AsyncClient, postgres: Database
) -> None:
    broken = set(random.Random(7).sample(range(1, 301), 40))

    answer = (await send(api, gzip.compress(lines(300, broken=broken)))).json()

    assert {name: answer[name] for name in ("status", "lines", "accepted", "repeated", "refused")} == {
        "status": "finished",
        "lines": 300,
        "accepted": 260,
        "repeated": 0,
        "refused": 40,
    }
    assert await faulty_lines(api, answer["id"]) == sorted(broken)
    sent = await postgres.pool.fetch("SELECT payload FROM message")
    assert Counter(json.loads(row["payload"])["id"] for row in sent) == Counter(set(range(1, 301)) - broken)


@pytest.mark.usefixtures("application")
async def test_a_file_that_is_sent_again_is_not_taken_twice(api: AsyncClient, postgres: Database) -> None:
    whole = lines(200)
    half = whole[: len(whole) // 2 + 10]

    first = await send(api, half, file_id="january")
    again = await send(api, whole, file_id="january")
    found = await api.get("/app/u/msg/import/january")

    taken = first.json()["accepted"]
    assert first.json()["refused"] == 1, "the line that was cut through"
    assert again.json()["id"] == first.json()["id"]
    assert (again.json()["accepted"], again.json()["repeated"], again.json()["refused"]) == (200 - taken, taken, 0)
    assert found.json() == again.json()
    assert await postgres.pool.fetchval("SELECT count(*) FROM message") == 200


@pytest.mark.usefixtures("application")
async def test_a_line_that_says_something_else_the_second_time_is_refused(api: AsyncClient) -> None:
    await send(api, line(1), file_id="f")

    again = await send(api, line(2), file_id="f")

    assert again.json()["refused"] == 1
    faults = (await api.get("/app/u/msg/import/f/fault")).json()["data"]
    assert [(fault["line"], fault["code"]) for fault in faults] == [(1, "idempotency_key_reused")]


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("changed", ["tags", "channels", "deliverAt", "payloadRetentionHours"])
async def test_nothing_of_a_line_may_change_but_the_blanks_around_it(api: AsyncClient, changed: str) -> None:
    now = datetime.now(UTC)
    first, other = (
        {
            "tags": [f"of-{hours}"],
            "channels": [f"of-{hours}"],
            "deliverAt": (now + timedelta(hours=hours)).isoformat(),
            "payloadRetentionHours": hours,
        }
        for hours in (1, 2)
    )
    await send(api, line(1, **first) + b"\n" + line(2, **first), file_id="f")

    mixed = first | {changed: other[changed]}
    again = await send(api, line(1, **mixed) + b"\r\n " + line(2, **first), file_id="f")

    assert (again.json()["accepted"], again.json()["repeated"], again.json()["refused"]) == (0, 1, 1)
    assert await faulty_lines(api, again.json()["id"]) == [1]


@pytest.mark.usefixtures("application")
async def test_of_very_many_broken_lines_the_first_are_listed_and_all_are_counted(
    api: AsyncClient, postgres: Database
) -> None:
    many = MAX_LISTED_FAULTS + 300

    answer = (await send(api, gzip.compress(b"{\n" * many + line(1)))).json()

    assert (answer["lines"], answer["accepted"], answer["refused"]) == (many + 1, 1, many)
    listed = await postgres.pool.fetch("SELECT line FROM message_import_fault ORDER BY line")
    assert [row["line"] for row in listed] == list(range(1, MAX_LISTED_FAULTS + 1))


@pytest.mark.usefixtures("application")
async def test_an_upload_that_breaks_off_keeps_what_came_and_says_that_it_failed(
    api: AsyncClient, services: Services
) -> None:
    whole = gzip.compress(lines(200), 0)

    answer = await send(api, whole[: len(whole) // 2], file_id="cut")
    found = (await api.get("/app/u/msg/import/cut")).json()

    assert answer.status_code == 400
    assert answer.json()["code"] == "unreadable_file"
    assert found["status"] == "failed"
    assert 0 < found["accepted"] < 200


@pytest.mark.usefixtures("application")
async def test_a_sending_that_another_one_overtook_no_longer_speaks_for_the_file(api: AsyncClient) -> None:
    asked, overtaken = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        asked.set()
        await overtaken.wait()
        yield lines(3, broken={2})

    first = asyncio.create_task(
        api.post("/app/u/msg/import", params={"file_id": "f"}, content=slowly(), timeout=patient(60))
    )
    await asked.wait()
    again = await send(api, lines(3), file_id="f")
    overtaken.set()
    answer = await first
    found = await api.get("/app/u/msg/import/f")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert found.json() == again.json()
    assert (found.json()["status"], found.json()["accepted"], found.json()["refused"]) == ("finished", 3, 0)
    assert await faulty_lines(api, found.json()["id"]) == []


async def test_a_sender_that_hangs_up_leaves_a_failed_import_and_what_was_taken(
    app: FastAPI, postgres: Database
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield lines(80, transformationsParams={"rawPayload": "x" * 4_000})
        await asyncio.Event().wait()

    async with served(app) as api, asyncio.timeout(patient(30)):
        await api.post("/app", json={"name": "an application", "uid": "u"})
        sending = asyncio.create_task(api.post("/app/u/msg/import", params={"file_id": "f"}, content=half()))
        while not await postgres.pool.fetchval("SELECT count(*) FROM message"):  # noqa: ASYNC110  # the server's doing
            await asyncio.sleep(0.01)
        sending.cancel()
        while (found := (await api.get("/app/u/msg/import/f")).json())["status"] == "running":  # noqa: ASYNC110  # same
            await asyncio.sleep(0.01)

    assert found["status"] == "failed"
    assert found["accepted"] == await postgres.pool.fetchval("SELECT count(*) FROM message") > 0


NO_LINE_GOES_WITH_ITS_IMPORT = """
CREATE FUNCTION by_itself() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN ASSERT pg_trigger_depth() = 1, 'as many lines as there are would go at once'; RETURN old; END $$;
CREATE TRIGGER by_itself BEFORE DELETE ON message_import_fault FOR EACH ROW EXECUTE FUNCTION by_itself();
"""


@pytest.mark.usefixtures("application")
@pytest.mark.own_database
async def test_an_import_is_forgotten_with_its_refused_lines_when_it_is_as_old_as_messages_get(
    api: AsyncClient, postgres: Database
) -> None:
    kept = timedelta(days=97)
    for name, age in (("older", kept + timedelta(hours=1)), ("younger", kept - timedelta(hours=1))):
        await send(api, lines(2, broken={1}), file_id=name)
        await postgres.pool.execute(
            "UPDATE message_import SET updated_at = now() - $2::interval WHERE file_id = $1", name, age
        )
    await postgres.pool.execute(NO_LINE_GOES_WITH_ITS_IMPORT)

    await PostgresUpkeep(postgres.pool, kept=kept).clear_away(now=datetime.now(UTC))

    assert (await api.get("/app/u/msg/import/older")).status_code == 404
    assert await faulty_lines(api, (await api.get("/app/u/msg/import/younger")).json()["id"]) == [1]
    assert await postgres.pool.fetchval("SELECT count(*) FROM message_import_fault") == 1


def unusual_files() -> Iterator[tuple[str, bytes, int, list[int]]]:
    yield "empty", b"", 0, []
    yield "blank lines", b"\n\n \r\n" + line(1) + b"\r\n\n", 1, []
    yield "a byte order mark", b"\xef\xbb\xbf" + line(1), 1, []
    yield "line breaks of another system", line(1) + b"\r\n" + b"{\r\n" + line(3) + b"\r\n", 2, [2]
    yield "another charset", line(1) + b"\n" + '{"eventType": "t", "payload": {"a": "é"}}\n'.encode("latin-1"), 1, [2]
    yield "two bytes a letter", (line(1) + b"\n" + line(2)).decode().encode("utf-16"), 0, []
    yield "an array", b" \n[" + line(1) + b",\n" + line(2) + b"]", 0, []
    yield "an array in gzip", gzip.compress(b"[\n" + line(1) + b"\n]"), 0, []
    yield "an array on a line", b"[" + line(1) + b"," + line(2) + b"]", 0, [1]
    yield "an array further down", line(1) + b"\n[]", 1, [2]
    yield "an archive", b"PK\x03\x04\n" + line(1), 0, []
    yield (
        "more broken lines than a file of messages has",
        gzip.compress(b"{\n" * (MAX_REFUSED_LINES + 300_000), 1),
        0,
        [],
    )
    yield "more blank lines", gzip.compress(b" \n" * 2_000_000, 1), 0, []
    yield "no line break at the end", line(1) + b"\n" + line(2), 2, []
    yield "gzip in two members", gzip.compress(line(1) + b"\n") + gzip.compress(line(2)), 2, []
    yield "a line that is too long", b'{"a":"' + b"x" * 5_000_000 + b'"}\n' + line(2), 1, [1]
    yield "a bomb", gzip.compress(b"x" * 50_000_000 + b"\n" + line(2), 1), 1, [1]
    yield "not gzip after all", b"\x1f\x8b" + line(1), 0, []


UNUSUAL = list(unusual_files())
UNREADABLE = {
    "not gzip after all",
    "two bytes a letter",
    "an array",
    "an array in gzip",
    "an archive",
    "more broken lines than a file of messages has",
    "more blank lines",
}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize(("name", "file", "accepted", "faulty"), UNUSUAL, ids=[name for name, *_ in UNUSUAL])
async def test_an_unusual_file_is_read_for_what_it_is(
    api: AsyncClient, name: str, file: bytes, accepted: int, faulty: list[int]
) -> None:
    answer = await send(api, file, file_id="f")
    found = (await api.get("/app/u/msg/import/f")).json()

    assert answer.status_code == (400 if name in UNREADABLE else 200)
    assert found["accepted"] == accepted
    if found["refused"] < MAX_LISTED_FAULTS:
        assert await faulty_lines(api, found["id"]) == faulty


@pytest.mark.usefixtures("application")
async def test_a_form_is_told_to_be_sent_as_the_file_itself(api: AsyncClient) -> None:
    answer = await api.post("/app/u/msg/import", files={"file": line(1)})

    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable_file")
    assert "--data-binary" in answer.json()["detail"]


@pytest.mark.usefixtures("application")
async def test_a_line_whose_payload_breaks_its_schema_is_refused_alone(api: AsyncClient) -> None:
    schema = {"1": {"properties": {"id": {"type": "integer"}}}}
    event_type = {"name": "invoice.paid", "description": "", "schemas": schema, "validatePayloads": True}
    await api.post("/event-type", json=event_type)
    file = [line(1), line(2).replace(b": 2", b': "two"'), line(3)]

    answer = await send(api, b"\n".join(file))

    assert (answer.json()["accepted"], answer.json()["refused"]) == (2, 1)
    assert await faulty_lines(api, answer.json()["id"]) == [2]


async def test_there_has_to_be_an_application(api: AsyncClient) -> None:
    answer = await api.post("/app/nobody/msg/import", content=line(1))

    assert answer.status_code == 404


@pytest.mark.usefixtures("application")
async def test_imports_are_listed_newest_first_page_by_page_and_for_their_application_alone(api: AsyncClient) -> None:
    await api.post("/app", json={"name": "another", "uid": "another"})
    await api.post("/app/another/msg/import", content=lines(1))
    made = [(await send(api, lines(1), file_id=f"f{number}")).json() for number in range(3)]

    first = (await api.get("/app/u/import", params={"limit": 2})).json()
    second = (await api.get("/app/u/import", params={"limit": 2, "iterator": first["iterator"]})).json()

    assert first["data"] + second["data"] == made[::-1]
    assert (first["done"], second["done"]) == (False, True)
