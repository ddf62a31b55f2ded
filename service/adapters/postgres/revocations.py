"""Revocations in PostgreSQL: written in the transaction of a request, and remembered by each process that verifies.

Verifying asks no database. A process reads what is new every second, and all of it now and then.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

import asyncpg
from sqlalchemy import insert

from service.adapters.postgres import tables
from service.adapters.postgres.engine import unavailable_when_lost
from service.adapters.postgres.transaction import Transaction
from service.domain.ids import ApplicationId
from service.domain.revocations import Revocation

EVERYTHING_AGAIN = timedelta(minutes=5)
# What is written before others may be committed after them, as long as a transaction takes.
LATE_COMMITS = timedelta(seconds=30)
A_BATCH = 5_000

_COLUMNS = "id, org_id, app_id, token_id, session_id, issued_before, effective_at, forgettable_at"
SINCE = f"SELECT {_COLUMNS}, written_at FROM revocation WHERE written_at > $1 ORDER BY written_at"
FORGET = """
DELETE FROM revocation WHERE id = ANY (ARRAY(
    SELECT id FROM revocation WHERE forgettable_at < $1 ORDER BY forgettable_at LIMIT $2))
"""

_table = tables.revocation
_BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00Z")


class PostgresRevocations:
    """Fulfils `ports.RevocationRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, revocation: Revocation) -> None:
        """Keep it, if this transaction commits."""
        values = {name: getattr(revocation, name) for name in _COLUMNS.split(", ")}
        await self._transaction.execute(insert(_table).values(values))


class RememberedRevocations:
    """Every revocation that still matters, by application. `refresh` before the first question."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._by_application: dict[str, dict[str, Revocation]] = {}
        self._seen_until = _BEGINNING
        self._whole_at: datetime | None = None

    def cover(
        self, app_id: ApplicationId, *, token_id: str, session_id: str | None, issued_at: float, now: float
    ) -> bool:
        """Whether a token of the application was revoked; times are seconds since 1970."""
        revocations = self._by_application.get(app_id)
        return revocations is not None and any(
            revocation.covers(token_id=token_id, session_id=session_id, issued_at=issued_at, now=now)
            for revocation in revocations.values()
        )

    async def refresh(self, *, now: datetime) -> None:
        """Read what is new; all of it when that was long ago. Unavailable."""
        if self._whole_at is None or now - self._whole_at >= EVERYTHING_AGAIN:
            await self._read_everything(now)
            return
        with unavailable_when_lost():
            rows = await self._pool.fetch(SINCE, self._seen_until - LATE_COMMITS)
        self._remember(rows)

    async def _read_everything(self, now: datetime) -> None:
        with unavailable_when_lost():
            await self._pool.execute(FORGET, now, A_BATCH)
            rows = await self._pool.fetch(SINCE, _BEGINNING)
        self._by_application = {}
        self._remember(rows)
        self._whole_at = now

    def _remember(self, rows: Iterable[asyncpg.Record]) -> None:
        found: defaultdict[str, dict[str, Revocation]] = defaultdict(dict, self._by_application)
        for row in rows:
            found[row["app_id"]][row["id"]] = _revocation(row)
            self._seen_until = max(self._seen_until, row["written_at"])
        self._by_application = dict(found)


def _revocation(row: asyncpg.Record) -> Revocation:
    return Revocation(**{name: row[name] for name in _COLUMNS.split(", ")})
