"""Who waits for whom in PostgreSQL: changes of the tables, and settlements of the same endpoints."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from service.adapters.postgres.queue.settlements import Settlements
from service.adapters.postgres.server import partitions
from service.adapters.postgres.server.database import dsn
from service.adapters.postgres.server.wakeups import Wakeups
from service.adapters.postgres.upkeep import PostgresUpkeep
from service.domain import ids
from service.domain.deliveries import Settlement, Status
from service.domain.retries import TryAgain
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import a_claim, add_application, add_endpoint
from tests.support.patience import patient
from tests.support.queues import came_of

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
FREE = "SELECT count(*) FROM (SELECT FROM endpoint WHERE id = ANY ($1::text[]) FOR UPDATE SKIP LOCKED) AS free"
WEEK = datetime(2026, 7, 15, tzinfo=UTC)


async def test_a_long_reader_does_not_make_those_who_accept_wait_behind_a_change_of_the_tables(
    pool: asyncpg.Pool,
) -> None:
    async with pool.acquire() as reader, pool.acquire() as upkeep, asyncio.timeout(patient(10)):
        async with reader.transaction():
            await reader.fetch("SELECT id FROM message")
            await partitions.ensure(upkeep, now=WEEK)
            made_beside_the_reader = await weeks_of(pool, "message")
        await partitions.ensure(upkeep, now=WEEK)

        assert made_beside_the_reader == 0
        assert await weeks_of(pool, "message") == partitions.WEEKS_AHEAD
        assert await weeks_of(pool, "attempt") == partitions.WEEKS_AHEAD


async def test_a_week_that_somebody_reads_is_dropped_later(pool: asyncpg.Pool) -> None:
    later = WEEK + timedelta(weeks=9)
    async with pool.acquire() as reader, pool.acquire() as upkeep, asyncio.timeout(patient(10)):
        await partitions.ensure(upkeep, now=WEEK)
        async with reader.transaction():
            await reader.fetch("SELECT id FROM message_20260713")
            first = await partitions.drop_older(upkeep, before=later)
        second = await partitions.drop_older(upkeep, before=later)

    assert "message_20260713" not in first
    assert "message_20260713" in second


async def test_an_event_id_is_forgotten_with_its_message_and_not_before(pool: asyncpg.Pool) -> None:
    now = datetime.now(UTC)
    a_week_old, of_this_week = (
        ids.lowest(ids.MESSAGE, at) for at in (now - timedelta(days=8), partitions.kept_from(now))
    )
    await pool.executemany(
        "INSERT INTO event_id (app_id, event_id, message_id) VALUES ('app', $1, $1)", [(a_week_old,), (of_this_week,)]
    )

    await PostgresUpkeep(pool, kept=timedelta()).clear_away(now=now)

    assert [row["message_id"] for row in await pool.fetch("SELECT message_id FROM event_id")] == [of_this_week]


async def test_settlements_want_endpoints_in_one_order_so_that_they_never_deadlock(
    pool: asyncpg.Pool, database: str, told: DeliveryTelemetry
) -> None:
    batch = await failures_of_many_endpoints(pool, 12)
    first, *others = sorted(settlement.claim.endpoint_id for settlement in batch)
    settlements = Settlements(
        pool,
        Wakeups(dsn(database)).deliveries,
        disable_after=timedelta(days=5),
        telemetry=told,
        attempted=lambda _app, _id: None,
    )
    async with pool.acquire() as other, asyncio.timeout(patient(10)):
        async with other.transaction():
            await other.execute("SELECT FROM endpoint WHERE id = $1 FOR UPDATE", first)
            settling = asyncio.create_task(settlements._settle(batch))
            while not await other.fetchval(WAITING):  # noqa: ASYNC110  # another connection's doing
                await asyncio.sleep(0.01)
            free = await other.fetchval(FREE, others)
        await settling

    assert free == len(others), "whoever waits for the first one holds none of the rest"


async def failures_of_many_endpoints(pool: asyncpg.Pool, count: int) -> list[Settlement]:
    """The first failure of each of so many endpoints, in no order."""
    app = await add_application(pool)
    settlements = []
    for _ in range(count):
        claim = a_claim(endpoint_id=await add_endpoint(pool, app), app_id=app)
        await pool.execute(
            "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at, lease)"
            " VALUES ($1, $2, $3, $4, now() + interval '1 hour', $5)",
            claim.endpoint_id,
            claim.message_id,
            claim.org_id,
            claim.app_id,
            claim.lease,
        )
        settlements.append(came_of(claim, TryAgain(delay=timedelta(minutes=5)), status=Status.FAIL))
    return settlements[::-1]


async def weeks_of(pool: asyncpg.Pool, table: str) -> int:
    """How many partitions there are besides the default one."""
    return len(await pool.fetch(partitions.PARTITIONS, table)) - 1
