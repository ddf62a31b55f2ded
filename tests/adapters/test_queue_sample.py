"""The look at the queue: exact while the queue is short, cheap and near enough when it is long."""

import asyncpg

from service.adapters.postgres.queue.sample import sample_queue

FILL = """
INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, attempts, due_at, lease)
SELECT 'ep_1', $1 || n, 'org', 'app_1', n % 2, now() + $2::int * interval '1 s', $3
FROM generate_series(1, $4::int) n
"""


async def test_a_short_queue_is_counted(pool: asyncpg.Pool) -> None:
    await pool.execute(FILL, "due", -60, None, 30)
    await pool.execute(FILL, "leased", 30, "a lease", 5)
    await pool.execute(FILL, "scheduled", 3600, None, 20)

    sampled = await sample_queue(pool)

    assert sampled.depths == {"due": 30, "leased": 5, "scheduled": 20}
    assert 60 <= sampled.oldest_due_age < 120


async def test_an_empty_queue_has_nothing_due(pool: asyncpg.Pool) -> None:
    sampled = await sample_queue(pool)

    assert (sampled.depths, sampled.oldest_due_age) == ({"due": 0, "leased": 0, "scheduled": 0}, 0)


async def test_of_a_long_queue_the_rest_is_estimated_where_it_is(pool: asyncpg.Pool) -> None:
    await fill(pool, "scheduled", 3600, 300)
    long_schedule = await sample_queue(pool, most=10)
    await fill(pool, "due", -60, 200)
    long_backlog = await sample_queue(pool, most=10)

    assert long_schedule.depths == {"due": 0, "leased": 0, "scheduled": 300}
    assert long_backlog.depths == {"due": 480, "leased": 0, "scheduled": 20}


async def fill(pool: asyncpg.Pool, name: str, due_in: int, count: int) -> None:
    """With PostgreSQL's statistics told at once; by itself it tells them when a connection has been idle."""
    async with pool.acquire() as connection:
        await connection.execute(FILL, name, due_in, None, count)
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await connection.execute("SELECT 1")
