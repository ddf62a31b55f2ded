"""A look at the queue that costs the same however long it is: counted up to a bound, estimated beyond."""

import asyncpg

from service.adapters.postgres.server.statements import beside
from service.application.ports.queue import QueueSample

MOST = 10_000

SAMPLE = beside(__name__)["sample"]


async def sample_queue(pool: asyncpg.Pool, *, most: int = MOST) -> QueueSample:
    """How the queue stands now: exactly, while fewer than `most` are due and fewer than `most` are not due yet.

    Beyond, what was not counted is taken from PostgreSQL's own statistics and added to what is due, if that is too
    many to count, or else to what is scheduled. Leases end soon, so they are among the first that are not due yet.
    """
    row = await pool.fetchrow(*SAMPLE(most=most))
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
