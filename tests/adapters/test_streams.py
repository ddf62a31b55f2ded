"""The order of a stream is the order of commits, however long a transaction takes between its first row and its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from service.adapters.postgres.queue.intake import PostgresIntake, accepting
from service.adapters.postgres.queue.streams import SCANNED, passage_of, reading
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork, open_unit_of_work
from service.adapters.postgres.server.database import Database, open_database
from service.application.ports.ordered import Extent, Passage
from service.domain.ids import ApplicationId
from service.domain.messages import NewMessage
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import VAULT, add_application, idempotency_key, new_message
from tests.support.patience import patient

WAITERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
EVERYTHING = Extent(messages=1_000)
LISTED = "SELECT position, message_id FROM stream_message WHERE app_id = $1 ORDER BY position"


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    async with open_database(database) as opened:
        yield opened


@pytest.fixture
async def app(opened: Database) -> ApplicationId:
    """An application whose messages are numbered."""
    app_id = await add_application(opened.pool)
    await _number(opened, app_id)
    return app_id


async def test_a_message_that_was_made_first_and_committed_last_comes_last(
    opened: Database, app: ApplicationId
) -> None:
    first, second, third = (new_message(app) for _ in range(3))

    async with _open_transaction(opened) as slow:
        await slow.execute("SELECT pg_current_xact_id()")  # the oldest transaction of all
        await _accept_at_once(opened, second)
        await slow.fetch(*accepting([first]))
        waiting = asyncio.create_task(_accept_at_once(opened, third))
        await _until_somebody_waits(opened)
        seen_meanwhile = await _read(opened, app)
    await waiting

    assert [message.id for message in seen_meanwhile.messages] == [second.id]
    after = await _read(opened, app, after=seen_meanwhile.through)
    assert [message.id for message in after.messages] == [first.id, third.id]


async def test_whoever_reads_between_any_commits_misses_nothing_and_sees_the_order_that_stays(
    opened: Database, app: ApplicationId
) -> None:
    seen: list[str] = []
    through = 0
    ended = asyncio.Event()

    async def write(lane: int) -> None:
        for turn in range(10):
            async with _open_transaction(opened) as connection:
                await connection.fetch(*accepting([new_message(app), new_message(app)]))
                await connection.execute("SELECT pg_sleep($1)", (lane + turn) % 3 / 500)

    async def read() -> None:
        nonlocal through
        while True:
            over = ended.is_set()
            passage = await _read(opened, app, after=through)
            seen.extend(message.id for message in passage.messages)
            through = passage.through
            if over and passage.ended:
                return

    reader = asyncio.create_task(read())
    await asyncio.gather(*(write(lane) for lane in range(6)))
    ended.set()
    await reader

    rows = await opened.pool.fetch(LISTED, app)
    assert [row["position"] for row in rows] == list(range(1, 121))
    assert seen == [row["message_id"] for row in rows]


async def test_what_is_rolled_back_leaves_no_gap(opened: Database, app: ApplicationId) -> None:
    kept = new_message(app)

    async with opened.pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        await connection.fetch(*accepting([new_message(app)]))
        await undone.rollback()
    await _accept_at_once(opened, kept)

    assert [tuple(row) for row in await opened.pool.fetch(LISTED, app)] == [(1, kept.id)]


async def test_a_batch_is_numbered_in_its_own_order_and_without_what_it_refuses(
    opened: Database, app: ApplicationId
) -> None:
    other = await add_application(opened.pool)
    key = idempotency_key("once")
    batch = [new_message(app, event_id="e"), new_message(other), new_message(app, idempotency_key=key)]
    repeated = [new_message(app, event_id="e"), new_message(app, idempotency_key=key)]
    last = new_message(app)

    async with opened.pool.acquire() as connection:
        # The ids of one batch may be in any order.
        rows = await connection.fetch(*accepting([last, *batch[::-1], *repeated]))

    admitted = {row["id"] for row in rows if row["admitted"]}
    expected = [
        message.id for message in [last, *batch[::-1], *repeated] if message.id in admitted and message.app == app
    ]
    assert len(expected) == 3
    assert [tuple(row) for row in await opened.pool.fetch(LISTED, app)] == list(enumerate(expected, 1))
    assert await opened.pool.fetch(LISTED, other) == []
    assert {row["numbered"] for row in rows} == {True}


async def test_two_batches_of_the_same_applications_do_not_deadlock(opened: Database) -> None:
    apps = [await add_application(opened.pool) for _ in range(5)]
    for each in apps:
        await _number(opened, each)

    async def write(order: list[ApplicationId]) -> None:
        for _ in range(20):
            await _accept_at_once(opened, *(new_message(each) for each in order))

    await asyncio.gather(write(apps), write(apps[::-1]), write(apps[2:] + apps[:2]))

    assert [await opened.pool.fetchval("SELECT head FROM stream WHERE app_id = $1", each) for each in apps] == [60] * 5


async def test_the_intake_says_when_it_has_numbered_something(
    opened: Database, app: ApplicationId, told: DeliveryTelemetry
) -> None:
    plain, rung = await add_application(opened.pool), []
    intake = PostgresIntake(
        opened.pool, accepted=lambda: None, telemetry=told, numbered=lambda: rung.append("numbered")
    )

    async with intake.running():
        await intake.accept(new_message(plain))
        assert rung == []
        await intake.accept(new_message(app))

    assert rung == ["numbered"]


async def test_a_passage_has_what_is_wanted_and_goes_on_behind_what_is_not(
    opened: Database, app: ApplicationId
) -> None:
    wanted = new_message(
        app, event_type="a.b", channels=("c", "d"), tags=("t",), event_id="e", content_type="text/plain"
    )
    await _accept_at_once(
        opened, new_message(app, event_type="a.b"), wanted, new_message(app, channels=("c",)), new_message(app)
    )

    passage = await _read(opened, app, extent=Extent(messages=10, event_types=("a.b",), channels=("c",)))

    (found,) = passage.messages
    assert (found.position, found.id, found.payload, found.event_type) == (2, wanted.id, wanted.payload, "a.b")
    assert (found.channels, found.tags, found.event_id) == (("c", "d"), ("t",), "e")
    assert (found.content_type, found.correlation_id) == ("text/plain", "a-request")
    assert (passage.through, passage.ended) == (4, True)


@pytest.mark.parametrize(
    ("extent", "through"),
    [
        pytest.param(Extent(messages=2), 2, id="as many messages as it may have"),
        pytest.param(Extent(messages=9, payload_bytes=1_500), 2, id="as many bytes as it may have"),
        pytest.param(Extent(messages=9, payload_bytes=1), 1, id="one message at least"),
        pytest.param(Extent(messages=9), 4, id="everything"),
    ],
)
async def test_a_passage_ends_with(opened: Database, app: ApplicationId, extent: Extent, through: int) -> None:
    await _accept_at_once(opened, *(new_message(app, payload=b"x" * 1_000) for _ in range(4)))

    passage = await _read(opened, app, extent=extent)

    assert [message.position for message in passage.messages] == list(range(1, through + 1))
    assert (passage.through, passage.ended) == (through, through == 4)


async def test_a_passage_looks_at_so_many_messages_however_few_are_wanted(opened: Database, app: ApplicationId) -> None:
    await opened.pool.execute(
        "INSERT INTO stream_message SELECT $1, n, 'msg_' || n, 'a', NULL, now() FROM generate_series(1, $2::int) n",
        app,
        SCANNED + 1,
    )
    await opened.pool.execute("UPDATE stream SET head = $1", SCANNED + 1)

    passage = await _read(opened, app, extent=Extent(messages=9, event_types=("none",)))

    assert passage == Passage(messages=(), through=SCANNED, ended=False)


async def test_expired_payloads_are_passed_and_counted_and_what_was_deleted_is_passed(
    opened: Database, app: ApplicationId
) -> None:
    messages = [new_message(app) for _ in range(5)]
    await _accept_at_once(opened, *messages)
    await opened.pool.execute("UPDATE message SET payload = NULL WHERE id = $1", messages[3].id)
    await opened.pool.execute("DELETE FROM stream_message WHERE position <= 3")

    passage = await _read(opened, app)

    assert [message.id for message in passage.messages] == [messages[4].id]
    assert (passage.expired, passage.through, passage.ended) == (1, 5, True)


async def test_a_position_is_found_by_its_time(opened: Database, app: ApplicationId) -> None:
    start = datetime.now(UTC)
    await _accept_at_once(opened, *(new_message(app) for _ in range(100)))
    for position in range(1, 101):
        await opened.pool.execute(
            "UPDATE stream_message SET created_at = $1 WHERE position = $2",
            start + timedelta(minutes=position // 2),
            position,
        )
    await opened.pool.execute("DELETE FROM stream_message WHERE position <= 10")

    async with _work(opened) as work:
        found = [
            await work.destinations.position_at(app, at)
            for at in (start - timedelta(days=1), start + timedelta(minutes=20), start + timedelta(days=1), None)
        ]

    assert found == [0, 39, 100, 100]  # whatever is left comes after the first


def _work(opened: Database) -> AbstractAsyncContextManager[PostgresUnitOfWork]:
    return open_unit_of_work(opened.sessions, VAULT)


async def _number(opened: Database, app: ApplicationId) -> None:
    async with _work(opened) as work:
        assert await work.destinations.position_at(app) == 0


@asynccontextmanager
async def _open_transaction(opened: Database) -> AsyncIterator[asyncpg.Connection]:
    async with opened.pool.acquire() as connection, connection.transaction():
        yield connection


async def _accept_at_once(opened: Database, *messages: NewMessage) -> None:
    async with opened.pool.acquire() as connection:
        await connection.fetch(*accepting(messages))


async def _read(opened: Database, app: ApplicationId, *, after: int = 0, extent: Extent = EVERYTHING) -> Passage:
    return passage_of(await opened.pool.fetch(*reading(app, extent, after=after)), extent, after=after)


async def _until_somebody_waits(opened: Database) -> None:
    async with asyncio.timeout(patient(10)):
        while not await opened.pool.fetchval(WAITERS):
            await opened.pool.execute("SELECT pg_sleep(0.01)")
