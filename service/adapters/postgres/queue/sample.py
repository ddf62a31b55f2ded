"""Samples the queue at a cost that does not grow with it: counts up to a bound, estimates beyond."""

import asyncpg

from service.adapters.postgres.server.statements import beside
from service.application.ports.queue import QueueSample

MAX_COUNTED_ROWS = 10_000

SAMPLE = beside(__name__)["sample"]


async def sample_queue(pool: asyncpg.Pool, *, most: int = MAX_COUNTED_ROWS) -> QueueSample:
    """The queue's depths now, exact while fewer than `most` deliveries are due and fewer than `most` are not.

    Beyond that, the rest is estimated from PostgreSQL's statistics and added to the due ones if they were too many to
    count, else to the scheduled ones. Leases end soon, so they are among the first that are not due yet.
    """
    row = await pool.fetchrow(*SAMPLE(most=most))
    assert row is not None  # noqa: S101 - the statement always returns one row
    due, leased, scheduled = row["due"], row["leased"], row["scheduled"]
    uncounted = max(row["about"] - due - leased - scheduled, 0)
    if due >= most:
        due += uncounted
    elif leased + scheduled >= most:
        scheduled += uncounted
    return QueueSample(
        depths={"due": due, "leased": leased, "scheduled": scheduled}, oldest_due_age=row["oldest_due_age"]
    )
