"""Throttles on a real PostgreSQL: a rate is kept, whoever claims, and what waits for it is in nobody's way."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.server.database import dsn
from service.adapters.postgres.upkeep import PostgresUpkeep
from service.domain.deliveries import Claim
from service.domain.errors import Unavailable
from service.domain.limits import RATE_BURST
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import add_application, add_endpoint
from tests.support.patience import patient
from tests.support.queues import a_worker, owe


@pytest.fixture
async def queue(pool: asyncpg.Pool, database: str, told: DeliveryTelemetry) -> AsyncIterator[PostgresQueue]:
    async with a_worker(pool, database, told) as queue:
        yield queue


async def claim(queue: PostgresQueue) -> list[Claim]:
    """All that may leave now. The first claim of all only makes the throttle's row."""
    return [claim for _ in range(3) for claim in await queue.claim(limit=100, per_endpoint=100, rooms={})]


async def test_a_rate_is_kept_by_three_processes_together(
    pool: asyncpg.Pool, database: str, told: DeliveryTelemetry
) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app, throttle_rate=100)
    owed = await owe(pool, endpoint, app, 100)
    taken: list[str] = []

    async def work(queue: PostgresQueue) -> None:
        while len(taken) < 80:
            claims = await queue.claim(limit=50, per_endpoint=50, rooms={})
            taken.extend(claim.message_id for claim in claims)
            await asyncio.sleep(0.01)

    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(a_worker(pool, database, told)) for _ in range(3)]
        started = time.monotonic()
        async with asyncio.timeout(patient(10)):
            await asyncio.gather(*map(work, workers))
        took = time.monotonic() - started

    assert len(taken) == len(set(taken)) >= 80
    assert set(taken) <= set(owed)
    assert len(taken) <= 1 + (took + RATE_BURST.total_seconds()) * 100


async def test_the_first_burst_of_an_idle_endpoint_is_bounded(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app, throttle_rate=8)
    await owe(pool, endpoint, app, 20)
    await pool.execute("INSERT INTO throttle (id, next_at) VALUES ($1, now() - interval '1 day')", endpoint)

    claims = await queue.claim(limit=100, per_endpoint=100, rooms={})

    assert len(claims) == 3  # one, and what a quarter of a second gives


async def test_an_applications_rate_is_that_of_all_its_endpoints_together(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    throttled, free = await add_application(pool, throttle_rate=1), await add_application(pool)
    for _ in range(3):
        await owe(pool, await add_endpoint(pool, throttled), throttled, 2)
    await owe(pool, await add_endpoint(pool, free), free, 5)

    claims = await claim(queue)

    assert Counter(claim.app_id for claim in claims) == {throttled: 1, free: 5}


async def test_the_slower_of_two_rates_decides(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool, throttle_rate=1000)
    slow, quick = await add_endpoint(pool, app, throttle_rate=1), await add_endpoint(pool, app)
    await owe(pool, slow, app, 5)
    await owe(pool, quick, app, 5)
    await pool.execute("INSERT INTO throttle (id, next_at) VALUES ($1, now() - interval '1 day')", app)

    claims = await claim(queue)

    assert Counter(claim.endpoint_id for claim in claims) == {slow: 1, quick: 5}


async def test_what_waits_for_a_throttle_has_spent_no_attempt_and_leaves_in_order(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app, throttle_rate=1)
    owed = sorted(await owe(pool, endpoint, app, 3))

    first = await claim(queue)
    await pool.execute("UPDATE throttle SET next_at = now()")  # a second later
    second = await queue.claim(limit=100, per_endpoint=100, rooms={})
    while not second:  # until this queue looks again
        second = await queue.claim(limit=100, per_endpoint=100, rooms={})

    assert [(claim.message_id, claim.attempt) for claim in first + second] == [(owed[0], 1), (owed[1], 1)]


async def test_a_throttle_that_is_lifted_holds_nothing_back(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app, throttle_rate=1)
    await owe(pool, endpoint, app, 10)
    first = await claim(queue)

    await pool.execute("UPDATE endpoint SET throttle_rate = NULL")
    async with asyncio.timeout(patient(5)):
        rest = await claim(queue)
        while not rest:
            await queue.wait()
            rest = await claim(queue)

    assert (len(first), len(rest)) == (1, 9)


async def test_what_is_owed_to_a_disabled_endpoint_does_not_wait_for_its_throttle(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app, throttle_rate=1)
    await owe(pool, endpoint, app, 10)
    await pool.execute("UPDATE endpoint SET disabled = true")

    claims = await claim(queue)

    assert [claim.endpoint_active for claim in claims] == [False] * 10


async def test_a_throttled_backlog_leaves_the_horizon_to_others(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    throttled, other = await add_endpoint(pool, app, throttle_rate=1), await add_endpoint(pool, app)
    await owe(pool, throttled, app, 300, due_in=timedelta(minutes=-1))
    (message,) = await owe(pool, other, app)

    claims = [claim for _ in range(4) for claim in await queue.claim(limit=20, per_endpoint=8, rooms={throttled: 0})]

    assert [claim.message_id for claim in claims] == [message]
    assert await pool.fetchval("SELECT count(*) FROM pending_delivery WHERE throttled") == 300


async def test_what_a_throttle_kept_of_endpoints_that_nobody_sends_to_is_forgotten(pool: asyncpg.Pool) -> None:
    now = datetime.now(UTC)
    for name, ago in (
        ("deleted", timedelta(hours=2)),
        ("at work", timedelta(seconds=1)),
        ("ahead", timedelta(days=-1)),
    ):
        await pool.execute("INSERT INTO throttle VALUES ($1, now() - $2::interval)", name, ago)

    await PostgresUpkeep(pool, kept=timedelta(days=97)).clear_away(now=now)

    assert {row["id"] for row in await pool.fetch("SELECT id FROM throttle")} == {"at work", "ahead"}


async def test_an_endpoint_under_a_throttle_still_gets_no_more_than_its_room(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app, throttle_rate=1000)
    await owe(pool, endpoint, app, 20)
    await pool.execute("INSERT INTO throttle (id, next_at) VALUES ($1, now() - interval '1 day')", endpoint)

    claims = await queue.claim(limit=100, per_endpoint=100, rooms={endpoint: 3})

    assert len(claims) == 3


async def test_what_was_claimed_is_kept_though_the_throttled_ones_cannot_be_claimed(
    pool: asyncpg.Pool, database: str, told: DeliveryTelemetry
) -> None:
    app = await add_application(pool)
    (owed,) = await owe(pool, await add_endpoint(pool, app), app)
    await owe(pool, await add_endpoint(pool, app, throttle_rate=1), app)
    impatient = asyncpg.create_pool(dsn(database), min_size=1, max_size=4, server_settings={"statement_timeout": "300"})

    async with (
        impatient as other_pool,
        a_worker(other_pool, database, told) as queue,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        await connection.execute("LOCK TABLE throttle IN ACCESS EXCLUSIVE MODE")
        claims = await queue.claim(limit=8, per_endpoint=8, rooms={})
        with pytest.raises(Unavailable):
            await queue.claim(limit=8, per_endpoint=8, rooms={})

    assert [claim.message_id for claim in claims] == [owed]
