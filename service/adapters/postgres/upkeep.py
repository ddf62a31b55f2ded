"""What has to be done now and then: partitions ahead, old ones away, forgotten keys, and a look at the queue."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import asyncpg

from service.adapters.postgres.queue.rests import FORGET_RESTS
from service.adapters.postgres.queue.sample import sample_queue
from service.adapters.postgres.queue.throttles import FORGET_THROTTLES
from service.adapters.postgres.repositories.endpoint_health import sample_failing
from service.adapters.postgres.server import partitions
from service.adapters.postgres.server.database import unavailable_when_lost
from service.application.ports.queue import QueueSample
from service.domain import ids
from service.domain.retention import KEYS_KEPT, MESSAGES_KEPT

AUDIT_KEPT = timedelta(days=365)
A_BATCH = 5_000
BATCH_TAKES = 60  # seconds at most

FORGET_KEYS = """
DELETE FROM idempotency_key WHERE scope = ANY (ARRAY(
    SELECT scope FROM idempotency_key WHERE created_at < now() - $1::interval ORDER BY created_at LIMIT $2))
"""
FORGET_EVENT_IDS = """
DELETE FROM event_id WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM event_id WHERE message_id < $1 ORDER BY message_id LIMIT $2))
"""
# Reads by the index of payloads that are there, so what is kept for longer costs nothing.
REMOVE_PAYLOADS = """
UPDATE message SET payload = NULL WHERE id = ANY (ARRAY(
    SELECT id FROM message WHERE expires_at <= $1 AND payload IS NOT NULL
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
"""
FORGET_HOURS = """
DELETE FROM endpoint_hour WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM endpoint_hour WHERE hour < $1 ORDER BY hour LIMIT $2))
"""
FORGET_TASKS = """
DELETE FROM background_task WHERE id = ANY (ARRAY(
    SELECT id FROM background_task WHERE id < $1 AND status <> 'running' ORDER BY id LIMIT $2))
"""
# An import may have refused many lines: they go first, so that no batch takes more than it says.
FORGET_REFUSED_LINES = """
DELETE FROM message_import_fault WHERE ctid = ANY (ARRAY(
    SELECT f.ctid FROM message_import i JOIN message_import_fault f ON f.import_id = i.id
    WHERE i.updated_at < $1 LIMIT $2))
"""
FORGET_IMPORTS = """
DELETE FROM message_import WHERE id = ANY (ARRAY(
    SELECT id FROM message_import WHERE updated_at < $1 ORDER BY updated_at LIMIT $2))
"""
# The trail refuses to be shortened but by a transaction that says up to where.
SHORTENING_AUDIT = "SELECT set_config('relevo.audit_ends_before', $1, true)"
SHORTEN_AUDIT = """
DELETE FROM audit_event WHERE id = ANY (ARRAY(
    SELECT id FROM audit_event WHERE id < $1 ORDER BY id LIMIT $2))
"""


class PostgresUpkeep:
    """Fulfils `ports.Upkeep`. Any number of processes may do it at once; nobody leads.

    `kept` is for messages and what became of them, `audit_kept` for the audit trail.
    """

    def __init__(
        self, pool: asyncpg.Pool, *, kept: timedelta = MESSAGES_KEPT, audit_kept: timedelta = AUDIT_KEPT
    ) -> None:
        self._pool = pool
        self._kept = kept
        self._audit_kept = audit_kept

    async def make_room(self, *, now: datetime) -> None:
        """Partitions for the weeks to come. Must have run once before anything is accepted."""
        with unavailable_when_lost():
            async with self._pool.acquire() as connection:
                await partitions.ensure(connection, now=now)

    async def clear_away(self, *, now: datetime) -> None:
        """Drop the weeks that are over, remove payloads whose time has come, forget the keys that are too old."""
        with unavailable_when_lost():
            async with self._pool.acquire() as connection:
                # A clock of ours that runs ahead must not throw away what the database's clock still keeps.
                now = min(now, await connection.fetchval("SELECT now()"))
                oldest = now - self._kept
                await partitions.drop_older(connection, before=oldest)
                await _all(connection, REMOVE_PAYLOADS, now)
                await _all(connection, FORGET_KEYS, KEYS_KEPT)
                # An event id guards its message for as long as that can be found.
                await _all(connection, FORGET_EVENT_IDS, ids.lowest(ids.MESSAGE, partitions.kept_from(oldest)))
                await _all(connection, FORGET_RESTS, now)
                await _all(connection, FORGET_THROTTLES, now)
                await _all(connection, FORGET_HOURS, oldest)
                await _all(connection, FORGET_TASKS, ids.lowest(ids.TASK, oldest))
                await _all(connection, FORGET_REFUSED_LINES, oldest)
                await _all(connection, FORGET_IMPORTS, oldest)
                await _all(
                    connection,
                    SHORTEN_AUDIT,
                    ids.lowest(ids.AUDIT_EVENT, now - self._audit_kept),
                    after=SHORTENING_AUDIT,
                )

    async def sample(self) -> QueueSample:
        """How the queue stands now."""
        with unavailable_when_lost():
            return await sample_queue(self._pool)

    async def failing(self) -> Mapping[str, int]:
        """How many endpoints take nothing, by how long at the least."""
        with unavailable_when_lost():
            return await sample_failing(self._pool)

    async def ping(self) -> None:
        """Unavailable when the database does not answer."""
        with unavailable_when_lost():
            await self._pool.execute("SELECT 1")


async def _all(connection: asyncpg.Connection, statement: str, bound: object, *, after: str | None = None) -> None:
    while (await _patiently(connection, statement, bound, after=after)).endswith(f" {A_BATCH}"):
        pass


async def _patiently(connection: asyncpg.Connection, statement: str, bound: object, *, after: str | None) -> str:
    """One batch. Nobody waits for upkeep, so it may take longer than the others on this pool."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = '{BATCH_TAKES}s'")
        if after is not None:
            await connection.execute(after, bound)
        return str(await connection.execute(statement, bound, A_BATCH, timeout=BATCH_TAKES))
