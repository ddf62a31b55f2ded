"""Endpoints that ask for less, or that nobody reaches: every process leaves them alone for a while."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.domain.deliveries import Claim, Status
from service.domain.retries import Delivered, TryAgain
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import add_application, add_endpoint
from tests.support.queues import a_worker, came_of, owe

LATER = TryAgain(delay=timedelta(hours=1))
A_MINUTE = timedelta(minutes=1)
UNTIL = "SELECT until - now() FROM endpoint_rest WHERE endpoint_id = $1"
SINCE = "SELECT until - $2 FROM endpoint_rest WHERE endpoint_id = $1"  # what no wait in between makes shorter
RESTED = "UPDATE endpoint_rest SET until = now()"
BACK_AT = "UPDATE pending_delivery SET due_at = now() WHERE attempts = 0"


@pytest.fixture
async def workers(
    pool: asyncpg.Pool, database: str, told: DeliveryTelemetry
) -> AsyncIterator[tuple[PostgresQueue, PostgresQueue]]:
    async with a_worker(pool, database, told) as one, a_worker(pool, database, told) as other:
        yield one, other


async def claimed(queue: PostgresQueue, *, limit: int = 10) -> list[Claim]:
    return await queue.claim(limit=limit, per_endpoint=10, rooms={})


async def test_what_one_process_was_asked_for_holds_for_every_process(
    pool: asyncpg.Pool, workers: tuple[PostgresQueue, PostgresQueue]
) -> None:
    one, other = workers
    app = await add_application(pool)
    endpoint, neighbour = await add_endpoint(pool, app), await add_endpoint(pool, app)
    await owe(pool, endpoint, app, 5)
    (claim,) = await claimed(one, limit=1)

    await one.settle(replace(came_of(claim, LATER), rest=A_MINUTE))
    await owe(pool, neighbour, app)
    found = await claimed(other)
    waiting = await pool.fetch(
        "SELECT attempts, due_at > now() + interval '50 s' FROM pending_delivery WHERE lease IS NULL"
    )

    assert [each.endpoint_id for each in found] == [neighbour]
    assert sorted(tuple(row) for row in waiting) == [(0, True)] * 4 + [(1, True)]


async def test_a_rest_holds_under_a_throttle_as_well(
    pool: asyncpg.Pool, workers: tuple[PostgresQueue, PostgresQueue]
) -> None:
    one, other = workers
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app)
    await owe(pool, endpoint, app, 3)
    (claim,) = await claimed(one, limit=1)
    await one.settle(replace(came_of(claim, LATER), rest=A_MINUTE))
    await pool.execute("UPDATE application SET throttle_rate = 1000")
    await pool.execute("UPDATE pending_delivery SET throttled = true, due_at = now() + interval '1 hour'")

    held = [await claimed(worker) for worker in (one, other, one)]

    assert held == [[], [], []]


async def test_rests_that_follow_each_other_grow_and_a_success_ends_the_series(
    pool: asyncpg.Pool, workers: tuple[PostgresQueue, PostgresQueue]
) -> None:
    one, other = workers
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app)
    await owe(pool, endpoint, app, 6)

    lengths = []
    for worker in (one, other, one, other):
        await pool.execute(RESTED)
        await pool.execute(BACK_AT)
        (claim,) = await claimed(worker, limit=1)
        before = await pool.fetchval("SELECT now()")
        await worker.settle(replace(came_of(claim, LATER), rest=timedelta()))
        lengths.append(await pool.fetchval("SELECT rests FROM endpoint_rest"))
    longest, at_least = await pool.fetchval(UNTIL, endpoint), await pool.fetchval(SINCE, endpoint, before)
    await pool.execute(RESTED)
    await pool.execute(BACK_AT)
    (claim,) = await claimed(one, limit=1)
    await one.settle(came_of(claim, Delivered(), status=Status.SUCCESS))

    assert lengths == [1, 2, 3, 4]
    assert longest <= timedelta(seconds=2.5)
    assert timedelta(seconds=1) < at_least
    assert await pool.fetchval("SELECT count(*) FROM endpoint_rest") == 0


@pytest.mark.parametrize("rests", [1, 7, 30, 100])
async def test_no_rest_is_longer_than_the_longest_however_many_came_before(
    pool: asyncpg.Pool, workers: tuple[PostgresQueue, PostgresQueue], rests: int
) -> None:
    one, _ = workers
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app)
    await owe(pool, endpoint, app)
    await pool.execute("INSERT INTO endpoint_rest VALUES ($1, $2, now())", endpoint, rests)
    (claim,) = await claimed(one)
    before = await pool.fetchval("SELECT now()")

    await one.settle(replace(came_of(claim, LATER), rest=timedelta()))

    # Half a minute, give or take a quarter.
    assert await pool.fetchval(UNTIL, endpoint) <= timedelta(seconds=37.5)
    assert timedelta() < await pool.fetchval(SINCE, endpoint, before)


async def test_attempts_that_were_in_flight_together_are_one_reason_to_rest(
    pool: asyncpg.Pool, workers: tuple[PostgresQueue, PostgresQueue]
) -> None:
    one, _ = workers
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, 3)
    first, *others = await claimed(one)

    await one.settle(replace(came_of(first, LATER), rest=A_MINUTE))
    for claim in others:
        await one.settle(replace(came_of(claim, LATER), rest=timedelta()))

    assert await pool.fetchval("SELECT rests FROM endpoint_rest") == 1
    assert await pool.fetchval("SELECT until - now() > interval '50 s' FROM endpoint_rest")
