"""What is read of a backlog does not depend on what the planner knew of the queue when it last counted."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from service.adapters.machine.clock import new_id
from service.adapters.postgres.queue.claims import new_lease
from service.adapters.postgres.queue.intake import Offer, accepting
from service.adapters.postgres.server.database import dsn, open_database
from service.application.ports.queue import Room
from service.domain import ids
from service.domain.ids import ApplicationId, EndpointId
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import ORG, add_application, add_endpoint, new_message
from tests.support.patience import patient
from tests.support.queues import a_worker

ENDPOINTS = 50
BACKLOG = 6_000
TURNS = 4
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
PLANNED_ANEW = 5  # executions, before PostgreSQL keeps a plan
STATEMENTS = 3  # of a claim, or fewer
# A statement may read each entry once, and those of the rows that came before and are gone, until they are cleared
# away. By an index of times alone each endpoint would read them all: a million and more.
MOST_READ = TURNS * STATEMENTS * 3 * BACKLOG


COUNTED = {
    "never": (),
    "while it was empty": ("DELETE FROM pending_delivery", "VACUUM ANALYZE pending_delivery"),
    "while all was leased": (
        "UPDATE pending_delivery SET lease = 'x', due_at = now() + interval '30 s'",
        "VACUUM ANALYZE pending_delivery",
        "DELETE FROM pending_delivery",
    ),
    "while one endpoint was owed": (
        "DELETE FROM pending_delivery WHERE endpoint_id <> (SELECT min(endpoint_id) FROM pending_delivery)",
        "VACUUM ANALYZE pending_delivery",
        "DELETE FROM pending_delivery",
    ),
}


async def owe_all(connection: asyncpg.Connection, app: ApplicationId, *, attempts: int) -> None:
    """A backlog, half of it of one endpoint and older than the others'."""
    await connection.execute(
        "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at, attempts)"
        " SELECT e.id, m.id, $1, $2, now() - interval '1 minute' + make_interval(secs => nth), $3"
        " FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS nth FROM endpoint WHERE app_id = $2) e"
        " JOIN unnest($4::text[]) WITH ORDINALITY AS m(id, n) ON nth = 0 OR m.n <= $5",
        ORG,
        app,
        attempts,
        [new_id(ids.MESSAGE) for _ in range(BACKLOG // 2)],
        BACKLOG // 2 // ENDPOINTS,
    )


async def owe_each(connection: asyncpg.Connection, app: ApplicationId) -> None:
    """A backlog, as much of it to each endpoint."""
    await connection.execute(
        "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at, attempts)"
        " SELECT e.id, m.id, $1, $2, now(), 0 FROM endpoint e, unnest($3::text[]) AS m(id) WHERE app_id = $2",
        ORG,
        app,
        [new_id(ids.MESSAGE) for _ in range(BACKLOG // ENDPOINTS)],
    )


async def counted_as(
    counted: str, connection: asyncpg.Connection, app: ApplicationId, *, attempts: int = 0, before: int = 0
) -> None:
    """A backlog of so many attempts each, of which the planner knows what there was `before`."""
    await owe_all(connection, app, attempts=before if COUNTED[counted] else attempts)
    for statement in COUNTED[counted]:
        await connection.execute(statement)
    if COUNTED[counted]:
        await owe_all(connection, app, attempts=attempts)


async def read_by_index(connection: asyncpg.Connection) -> int:
    """How many entries of the queue's indexes were read, by us and by all who have left."""
    async with asyncio.timeout(patient(30)):
        while await connection.fetchval(OTHERS):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)
    await connection.execute("SELECT pg_stat_force_next_flush()")
    read: int = await connection.fetchval(
        "SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes WHERE relname = 'pending_delivery'"
    )
    return read


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn(database))
    await connection.execute("SET stats_fetch_consistency = 'none'")
    yield connection
    await connection.close()


@pytest.fixture
async def app(connection: asyncpg.Connection) -> ApplicationId:
    app = await add_application(connection)
    for _ in range(ENDPOINTS):
        await add_endpoint(connection, app)
    return app


@pytest.mark.parametrize(("before", "attempts"), [(0, 0), (1, 1), (0, 1), (1, 0)])
@pytest.mark.parametrize("counted", COUNTED)
async def test_claims_by_turns_read_no_more_of_it(
    connection: asyncpg.Connection,
    app: ApplicationId,
    database: str,
    *,
    told: DeliveryTelemetry,
    counted: str,
    before: int,
    attempts: int,
) -> None:
    await counted_as(counted, connection, app, attempts=attempts, before=before)
    read = await read_by_index(connection)

    async with (
        open_database(database) as opened,
        a_worker(opened.pool, database, told, claims=opened.claims) as queue,
    ):
        claims = [claim for _ in range(TURNS) for claim in await queue.claim(limit=64, per_endpoint=1, rooms={})]

    assert len({claim.endpoint_id for claim in claims}) == ENDPOINTS, "there were turns"
    assert await read_by_index(connection) - read < MOST_READ


async def test_claims_that_found_nothing_before_read_no_more_of_it(
    connection: asyncpg.Connection, app: ApplicationId, database: str, told: DeliveryTelemetry
) -> None:
    await connection.execute("VACUUM ANALYZE pending_delivery")
    async with (
        open_database(database) as opened,
        a_worker(opened.pool, database, told, claims=opened.claims) as queue,
    ):
        for _ in range(PLANNED_ANEW + 1):
            assert await queue.claim(limit=64, per_endpoint=64, rooms={}) == []
        await owe_each(connection, app)
        claims = [claim for _ in range(TURNS) for claim in await queue.claim(limit=64, per_endpoint=64, rooms={})]

    assert len(claims) == TURNS * 64
    assert await read_by_index(connection) < BACKLOG


@pytest.mark.parametrize("counted", COUNTED)
async def test_an_accept_reads_no_more_of_it(
    connection: asyncpg.Connection, app: ApplicationId, database: str, counted: str
) -> None:
    await counted_as(counted, connection, app)
    before = await read_by_index(connection)
    room = Room(limit=64, per_endpoint=8, rooms={EndpointId("ep_other"): 1})

    async with open_database(database) as opened:
        for _ in range(TURNS):
            offer = Offer(lease=new_lease(), lease_lasts=timedelta(seconds=30), room=room)
            rows = await opened.pool.fetch(*accepting([new_message(app)], offer))

    assert [(row["deliveries"], row["endpoint_id"]) for row in rows] == [(ENDPOINTS, None)], "older ones come first"
    assert await read_by_index(connection) - before < MOST_READ
