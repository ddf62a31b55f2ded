"""Exports and live tails: what is read while it happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Limits, RemoteProtocolError, Response

from service.adapters.machine.clock import new_id
from service.adapters.postgres.queue.attempt_news import (
    BUFFERED_IDS,
    INTEREST,
    INTEREST_INTERVAL_S,
    NEWS,
    PostgresAttemptNews,
    PostgresFollower,
)
from service.adapters.postgres.server.database import Database, dsn
from service.api.services import Services
from service.application.ports.attempt_news import Missed
from service.application.ports.unit_of_work import UnitOfWork
from service.application.tails import CONCURRENT_READS, AttemptReader
from service.domain import ids
from service.domain.ids import ApplicationId, AttemptId, OrgId
from tests.api.conftest import TOKENS
from tests.api.served import served
from tests.support.patience import patient
from tests.support.processes import run

NEIGHBOUR = ApplicationId("app_neighbour")
NEIGHBOURS = OrgId("org_000000000000000000000000002")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    name: str
    data: dict[str, Any]


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with served(app) as client:
        yield client


async def events(answer: Response) -> AsyncIterator[Event]:
    name = ""
    async for text in answer.aiter_lines():
        field, _, value = text.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield Event(name=name, data=json.loads(value))


@asynccontextmanager
async def tailing(api: AsyncClient, **headers: str) -> AsyncIterator[AsyncIterator[Event]]:
    async with api.stream("GET", "/app/u/attempt/tail", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        heard = _within(patient(10), events(answer))
        assert (await anext(heard)).name == "ready"
        yield heard


async def _within(seconds: float, heard: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """The same, but whoever waits for one that does not come is told. TimeoutError."""
    with suppress(StopAsyncIteration):
        while True:
            async with asyncio.timeout(seconds):
                event = await anext(heard)
            yield event


async def an_attempt(database: Database, app_id: str) -> AttemptId:
    attempt_id = AttemptId(new_id(ids.ATTEMPT))
    await database.pool.execute(
        "INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, url, status, response,"
        " response_status_code, duration_ms, trigger, number)"
        " VALUES ($1, '', $2, '', '', 't', '', 0, '', 200, 1, 0, 1)",
        attempt_id,
        app_id,
    )
    return attempt_id


@asynccontextmanager
async def listening(database: str, channel: str) -> AsyncIterator[asyncio.Queue[str]]:
    """What is said on the channel while the block lasts."""
    said: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(dsn(database))
    try:
        await connection.add_listener(channel, lambda *heard: said.put_nowait(heard[-1]))
        yield said
    finally:
        await connection.close()


async def app_id_of(api: AsyncClient) -> ApplicationId:
    return ApplicationId((await api.get("/app/u")).json()["id"])


@pytest.mark.usefixtures("application")
async def test_an_export_has_every_message_once_with_its_payload_on_one_line(api: AsyncClient) -> None:
    payload = b'{\n "text": "a\\nb",\r\n "n": 1.10\n}'
    for number in range(30):
        body = b'{"eventType": "t.%d", "payload": %s}' % (number % 2, payload)
        (await api.post("/app/u/msg", content=body)).raise_for_status()

    answer = await api.get("/app/u/msg/export")
    narrowed = await api.get("/app/u/msg/export", params={"event_types": "t.1", "with_content": "false"})

    lines = answer.text.splitlines()
    listed = (await api.get("/app/u/msg", params={"limit": 100})).json()["data"]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["id"] for line in lines] == [message["id"] for message in reversed(listed)]
    assert '"n": 1.10' in lines[0], "numbers are as they were written"
    assert json.loads(lines[0])["payload"]["text"] == "a\nb"
    assert {json.loads(line)["eventType"] for line in narrowed.text.splitlines()} == {"t.1"}


@pytest.mark.usefixtures("application")
@pytest.mark.own_database
async def test_an_export_that_fails_midway_is_a_broken_answer(api: AsyncClient, postgres: Database) -> None:
    for _ in range(20):
        await api.post("/app/u/msg", json={"eventType": "t", "payload": {"text": "x" * 1_000_000}})

    async with api.stream("GET", "/app/u/msg/export") as answer:
        pieces = answer.aiter_raw()
        first = await anext(pieces)
        await postgres.pool.execute("ALTER TABLE message RENAME TO gone")
        with pytest.raises(RemoteProtocolError):
            _ = [piece async for piece in pieces]

    assert (answer.status_code, bool(first)) == (200, True)


@pytest.mark.usefixtures("application")
async def test_a_tail_hears_of_attempts_that_another_process_makes(
    api: AsyncClient, database: str, postgres: Database
) -> None:
    app_id = await app_id_of(api)
    other = PostgresAttemptNews(dsn(database))

    async with other.running(), tailing(api) as heard:
        other.attempted(NEIGHBOUR, await an_attempt(postgres, NEIGHBOUR))
        other.attempted(app_id, attempt_id := await an_attempt(postgres, app_id))
        event = await anext(heard)

    assert (event.name, event.data["id"], event.data["statusText"]) == ("attempt", attempt_id, "success")


@pytest.mark.usefixtures("application")
async def test_a_process_that_comes_later_asks_who_follows(api: AsyncClient, database: str, postgres: Database) -> None:
    app_id = await app_id_of(api)
    latecomer = PostgresAttemptNews(dsn(database), answered_within=0)

    async with tailing(api) as heard, listening(database, INTEREST) as said, latecomer.running():
        async with asyncio.timeout(INTEREST_INTERVAL_S / 2):
            while await said.get() != app_id:
                pass
        # Everybody hears notifications in the same order: who has heard itself has heard what was said before.
        async with latecomer.follow(NEIGHBOUR):
            latecomer.attempted(app_id, attempt_id := await an_attempt(postgres, app_id))
        event = await anext(heard)

    assert (event.name, event.data["id"]) == ("attempt", attempt_id)


@pytest.mark.usefixtures("application")
async def test_who_comes_back_is_told_of_the_gap(api: AsyncClient) -> None:
    async with tailing(api, **{"last-event-id": "atmpt_1"}) as heard:
        event = await anext(heard)

    assert (event.name, event.data) == ("gap", {"missed": None})


@pytest.mark.usefixtures("application")
async def test_a_tail_ends_with_the_token_that_it_came_with(
    api: AsyncClient, database: str, postgres: Database
) -> None:
    token = (await api.post("/auth/app-portal-access/u", json={})).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    app_id = await app_id_of(api)
    other = PostgresAttemptNews(dsn(database))

    async with other.running(), tailing(api, **bearer) as heard:
        await api.post("/auth/logout", headers=bearer)
        other.attempted(app_id, await an_attempt(postgres, app_id))
        async with asyncio.timeout(patient(10)):
            rest = [event async for event in heard]

    assert rest == []


@pytest.mark.usefixtures("application")
async def test_open_tails_end_when_the_process_leaves(api: AsyncClient, services: Services) -> None:
    async with tailing(api) as heard:
        services.attempt_news.end()  # type: ignore[attr-defined] # the runtime's, not the API's
        rest = [event async for event in heard]

    assert rest == []


async def test_the_command_that_may_not_follow_says_so_and_ends(api: AsyncClient) -> None:
    url = f"http://127.0.0.1:{api.base_url.port}"
    token = api.headers["authorization"].removeprefix("Bearer ")

    stranger = await run("tail", "nobody", "--url", url, environ={"RELEVO_TOKEN": "nobody's"})
    astray = await run("tail", "nobody", "--url", url, environ={"RELEVO_TOKEN": token})

    assert stranger == (1, "", "relevo: The server refused with 401: Invalid token\n")
    assert astray == (1, "", "relevo: The server refused with 404: Application not found\n")


async def test_a_follower_who_is_too_slow_is_told_how_much_it_missed() -> None:
    follower = PostgresFollower()
    told = [AttemptId(str(number)) for number in range(BUFFERED_IDS + 50)]

    follower.tell(told)

    assert await follower.next() == Missed(count=50)
    assert await follower.next() == told[50:250]


async def test_of_what_nobody_follows_nobody_is_told(database: str) -> None:
    news = PostgresAttemptNews(dsn(database), answered_within=0)

    async with listening(database, NEWS) as said, news.running(), news.follow(NEIGHBOUR):
        news.attempted(ApplicationId("app_1"), AttemptId("atmpt_1"))
        news.attempted(NEIGHBOUR, AttemptId("atmpt_2"))

        assert await said.get() == f"{NEIGHBOUR} atmpt_2"


@pytest.mark.own_database
async def test_a_lost_connection_is_a_gap_and_then_news_again(database: str, postgres: Database) -> None:
    news = PostgresAttemptNews(dsn(database))
    app_id = ApplicationId("app_1")

    async with news.running(), news.follow(app_id) as follower:
        await postgres.pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%pg_notify%' AND pid <> pg_backend_pid()"
        )
        gap = await follower.next()
        async with news.follow(app_id):
            news.attempted(app_id, AttemptId("atmpt_1"))
            after = await follower.next()

    assert gap == Missed(count=None)
    assert after == ["atmpt_1"]


@pytest.mark.usefixtures("application")
async def test_what_many_follow_is_read_once_and_by_few_at_a_time(
    api: AsyncClient, services: Services, postgres: Database
) -> None:
    app_id = await app_id_of(api)
    shared, own = await an_attempt(postgres, app_id), [await an_attempt(postgres, app_id) for _ in range(60)]
    open_now = most = opened = 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[UnitOfWork]:
        nonlocal open_now, most, opened
        opened, open_now = opened + 1, open_now + 1
        most = max(most, open_now)
        async with services.begin() as work:
            await asyncio.sleep(0)
            yield work
        open_now -= 1

    reader = AttemptReader(counted)
    same = await asyncio.gather(*(reader.attempts(app_id, [shared]) for _ in range(500)))
    times = opened
    others = await asyncio.gather(*(reader.attempts(app_id, [each]) for each in own))
    mixed = await reader.attempts(app_id, [own[0], AttemptId("atmpt_none"), shared])

    assert [[attempt.id for attempt in each] for each in same] == [[shared]] * 500
    assert times <= CONCURRENT_READS
    assert [[attempt.id for attempt in each] for each in others] == [[each] for each in own]
    assert most == CONCURRENT_READS
    assert [attempt.id for attempt in mixed] == sorted([own[0], shared])


@pytest.mark.usefixtures("application")
async def test_500_tails_that_are_not_read_break_nobody_off_and_hold_no_sessions(
    api: AsyncClient, postgres: Database, database: str
) -> None:
    app_id = await app_id_of(api)
    other, neighbour = PostgresAttemptNews(dsn(database)), TOKENS.mint(NEIGHBOURS, now=datetime.now(UTC))

    async with other.running(), AsyncExitStack() as tails:
        many = AsyncClient(
            base_url=api.base_url, headers=api.headers, timeout=patient(20), limits=Limits(max_connections=None)
        )
        await tails.enter_async_context(many)
        heard = [await tails.enter_async_context(tailing(many)) for _ in range(500)]
        other.attempted(app_id, attempt_id := await an_attempt(postgres, app_id))
        first = (await anext(heard[0])).data["id"]
        answers = [await api.get("/app", headers={"authorization": f"Bearer {neighbour}"}) for _ in range(3)]
        held = postgres.pools()["sessions"].checked_out()
        others = [(await anext(tail)).data["id"] for tail in heard[1:]]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert held <= CONCURRENT_READS
    assert {first, *others} == {attempt_id}, "everybody hears of it, and nobody was hung up on"
