"""Periodic maintenance: makes and drops partitions, deletes expired rows, samples the queue."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import asyncpg

from service.adapters.postgres.queue.ordered import sample_lags
from service.adapters.postgres.queue.sample import sample_queue
from service.adapters.postgres.repositories.endpoint_health import sample_failing
from service.adapters.postgres.server import partitions
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.statements import beside
from service.application.ports.ordered import StreamLag
from service.application.ports.queue import QueueSample
from service.domain import ids
from service.domain.idempotency import KEYS_KEPT
from service.domain.retention import AUDIT_KEPT, MESSAGES_KEPT, RESTS_KEPT, THROTTLES_KEPT
from service.domain.sinks import SinkKind

BATCH_ROWS = 5_000
BATCH_TIMEOUT_S = 60

CLEARING = dict(beside(__name__))
ALLOW_SHORTENING = CLEARING.pop("allow_shortening_audit")


class PostgresUpkeep:
    """Fulfils `ports.Upkeep`. Any number of processes may do it at the same time; there is no leader.

    `kept` is how long messages and attempts are kept, `audit_kept` how long the audit trail is.
    """

    def __init__(
        self, pool: asyncpg.Pool, *, kept: timedelta = MESSAGES_KEPT, audit_kept: timedelta = AUDIT_KEPT
    ) -> None:
        self._pool = pool
        self._kept = kept
        self._audit_kept = audit_kept

    async def make_room(self, *, now: datetime) -> None:
        """Make the partitions of the coming weeks. Must have run once before anything is accepted."""
        with unavailable_when_lost():
            async with self._pool.acquire() as connection:
                await partitions.ensure(connection, now=now)

    async def clear_away(self, *, now: datetime) -> None:
        """Drop old partitions, remove expired payloads, delete expired keys and other rows."""
        with unavailable_when_lost():
            async with self._pool.acquire() as connection:
                # If our clock is ahead, the database's clock decides what has expired.
                now = min(now, await connection.fetchval("SELECT now()"))
                oldest = now - self._kept
                await partitions.drop_older(connection, before=oldest)
                for name, bound in self._bounds(now, oldest).items():
                    await _all(connection, name, bound)

    def _bounds(self, now: datetime, oldest: datetime) -> dict[str, object]:
        """The statements in order, each with the bound below which rows are deleted."""
        return {
            "remove_payloads": now,
            "forget_keys": now - KEYS_KEPT,
            # An event id is kept for as long as its message can be found.
            "forget_event_ids": ids.lowest(ids.MESSAGE, partitions.kept_from(oldest)),
            "forget_stream_messages": oldest,
            "forget_rests": now - RESTS_KEPT,
            "forget_throttles": now - THROTTLES_KEPT,
            "forget_console_sessions": now,
            "forget_hours": oldest,
            "forget_activity": oldest,
            "forget_tasks": ids.lowest(ids.TASK, oldest),
            "forget_refused_lines": oldest,
            "forget_imports": oldest,
            "shorten_audit": ids.lowest(ids.AUDIT_EVENT, now - self._audit_kept),
        }

    async def sample(self) -> QueueSample:
        """Sample the queue."""
        with unavailable_when_lost():
            return await sample_queue(self._pool)

    async def failing(self) -> Mapping[str, int]:
        """How many endpoints have been failing for longer than each of `FAILING_AGES`."""
        with unavailable_when_lost():
            return await sample_failing(self._pool)

    async def lags(self) -> Mapping[SinkKind, StreamLag]:
        """How far the ordered destination of each kind is behind that is furthest behind."""
        return await sample_lags(self._pool)

    async def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with unavailable_when_lost():
            await self._pool.execute("SELECT 1")


async def _all(connection: asyncpg.Connection, name: str, bound: object) -> None:
    while (await _delete_batch(connection, name, bound)).endswith(f" {BATCH_ROWS}"):
        pass


async def _delete_batch(connection: asyncpg.Connection, name: str, bound: object) -> str:
    """Delete one batch. It may take longer than other statements of this pool, since no caller waits for it."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = '{BATCH_TIMEOUT_S}s'")
        if name == "shorten_audit":
            await connection.execute(*ALLOW_SHORTENING(before=bound))
        return str(await connection.execute(*CLEARING[name](before=bound, batch=BATCH_ROWS), timeout=BATCH_TIMEOUT_S))
