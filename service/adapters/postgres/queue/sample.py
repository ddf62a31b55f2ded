"""A look at the queue that costs the same however long it is: counted up to a bound, estimated beyond."""

import asyncpg

from service.application.ports.queue import QueueSample

MOST = 10_000

# Each of the four counts walks an index, so nothing is looked at but what is counted.
SAMPLE = """
WITH due AS MATERIALIZED (
    (SELECT due_at FROM pending_delivery WHERE attempts = 0 AND due_at <= now() ORDER BY due_at LIMIT $1)
    UNION ALL
    (SELECT due_at FROM pending_delivery WHERE attempts > 0 AND due_at <= now() ORDER BY due_at LIMIT $1)
), coming AS MATERIALIZED (
    (SELECT lease FROM pending_delivery WHERE attempts = 0 AND due_at > now() ORDER BY due_at LIMIT $1)
    UNION ALL
    (SELECT lease FROM pending_delivery WHERE attempts > 0 AND due_at > now() ORDER BY due_at LIMIT $1)
)
SELECT (SELECT count(*) FROM due) AS due,
       (SELECT count(*) FROM coming WHERE lease IS NOT NULL) AS leased,
       (SELECT count(*) FROM coming WHERE lease IS NULL) AS scheduled,
       pg_stat_get_live_tuples('pending_delivery'::regclass) AS about,
       coalesce(extract(epoch FROM now() - (SELECT min(due_at) FROM due)), 0)::float8 AS oldest_due_age
"""


async def sample_queue(pool: asyncpg.Pool, *, most: int = MOST) -> QueueSample:
    """How the queue stands now: exactly, while fewer than `most` are due and fewer than `most` are not due yet.

    Beyond, what was not counted is taken from PostgreSQL's own statistics and added to what is due, if that is too
    many to count, or else to what is scheduled. Leases end soon, so they are among the first that are not due yet.
    """
    row = await pool.fetchrow(SAMPLE, most)
    assert row is not None  # noqa: S101 - a row of subqueries is always there
    due, leased, scheduled = row["due"], row["leased"], row["scheduled"]
    uncounted = max(row["about"] - due - leased - scheduled, 0)
    if due >= most:
        due += uncounted
    elif leased + scheduled >= most:
        scheduled += uncounted
    return QueueSample(
        depths={"due": due, "leased": leased, "scheduled": scheduled}, oldest_due_age=row["oldest_due_age"]
    )
