"""Revocations in PostgreSQL: written in the transaction of a request, and cached by each process that verifies tokens.

Verifying costs no query. Each process reads new revocations every second, and all of them every five minutes.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

import asyncpg
from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.domain.ids import ApplicationId, OrgId
from service.domain.revocations import Revocation

FULL_REFRESH_INTERVAL = timedelta(minutes=5)
# How long after its time of writing a row may be committed: rows that old are read again.
COMMIT_DELAY = timedelta(seconds=30)
BATCH_ROWS = 5_000

_COLUMNS = tuple(column.name for column in fields(Revocation))
_statements = beside(__name__)
SINCE, FORGET = _statements["since"], _statements["forget"]

_table = tables.revocation
_BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00Z")


class PostgresRevocations:
    """Fulfils `ports.RevocationRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, revocation: Revocation) -> bool:
        """Store it, if this transaction commits; False when one with its id exists."""
        values = {name: getattr(revocation, name) for name in _COLUMNS}
        statement = insert(_table).values(values).on_conflict_do_nothing().returning(_table.c.id)
        return (await self._transaction.execute(statement)).first() is not None

    async def has(self, owner: ApplicationId | OrgId, *, at_least: int) -> bool:
        """Whether the application, or the organisation itself, has at least this many."""
        of_organisation = and_(_table.c.org_id == owner, _table.c.app_id.is_(None))
        some = select(_table.c.id).where(or_(_table.c.app_id == owner, of_organisation)).limit(at_least).subquery()
        statement = select(func.count()).select_from(some)
        return int((await self._transaction.execute(statement)).scalar_one()) >= at_least

    async def forget(self, app_id: ApplicationId, *, issued_before: datetime) -> None:
        """Delete those that concern only tokens issued before this time."""
        await self._transaction.execute(
            delete(_table).where(_table.c.app_id == app_id, _table.c.issued_before <= issued_before)
        )


class RevocationsAtHome:
    """The same in the database that is home, for an organisation that lives in another one. Each call is committed at
    once: a request that fails later has revoked the token, and may be repeated. `sessions` opens a session there."""

    def __init__(self, sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]]) -> None:
        self._sessions = sessions

    async def add(self, revocation: Revocation) -> bool:
        """Store it; False when one with its id exists."""
        async with self._committed() as revocations:
            return await revocations.add(revocation)

    async def has(self, owner: ApplicationId | OrgId, *, at_least: int) -> bool:
        """Whether the application, or the organisation itself, has at least this many."""
        async with self._committed() as revocations:
            return await revocations.has(owner, at_least=at_least)

    async def forget(self, app_id: ApplicationId, *, issued_before: datetime) -> None:
        """Delete those that concern only tokens issued before this time."""
        async with self._committed() as revocations:
            await revocations.forget(app_id, issued_before=issued_before)

    @asynccontextmanager
    async def _committed(self) -> AsyncIterator[PostgresRevocations]:
        async with self._sessions() as session:
            transaction = Transaction(session)
            try:
                yield PostgresRevocations(transaction)
                await transaction.commit()
            except BaseException:
                await transaction.rollback()
                raise


@dataclass(slots=True)
class _Ended:
    """The revocations of one owner: of single tokens by digest, others by session id (None: all sessions)."""

    tokens: dict[str, Revocation] = field(default_factory=dict)
    sessions: dict[str | None, dict[str, Revocation]] = field(default_factory=dict)

    def remember(self, revocation: Revocation) -> None:
        if revocation.token_id is not None:
            self.tokens[revocation.token_id] = revocation
        else:
            self.sessions.setdefault(revocation.session_id, {})[revocation.id] = revocation

    def concerning(self, token_id: str, session_id: str | None) -> Iterable[Revocation]:
        """The revocations that may cover a token, by look-ups in dictionaries."""
        if token_id in self.tokens:
            yield self.tokens[token_id]
        for session in {None, session_id}:
            yield from self.sessions.get(session, {}).values()


class RememberedRevocations:
    """A cache of all current revocations, by owner (application or organisation). Call `refresh` before first use.
    `pool` may be a function that gives it, or raises Unavailable."""

    def __init__(self, pool: asyncpg.Pool | Callable[[], asyncpg.Pool]) -> None:
        self._pool: Callable[[], asyncpg.Pool] = pool if callable(pool) else lambda: pool
        self._by_owner: dict[str, _Ended] = {}
        self._seen_until = _BEGINNING
        self._whole_at: datetime | None = None

    @property
    def known(self) -> bool:
        """Whether they have been read."""
        return self._whole_at is not None

    def cover(
        self, owner: ApplicationId | OrgId, *, token_id: str, session_id: str | None, issued_at: float, now: float
    ) -> bool:
        """Whether a token of the owner was revoked; times are seconds since 1970."""
        ended = self._by_owner.get(owner)
        return ended is not None and any(
            revocation.covers(token_id=token_id, session_id=session_id, issued_at=issued_at, now=now)
            for revocation in ended.concerning(token_id, session_id)
        )

    async def refresh(self, *, now: datetime) -> None:
        """Read new revocations, or all of them every five minutes. Raises Unavailable."""
        if self._whole_at is None or now - self._whole_at >= FULL_REFRESH_INTERVAL:
            await self._read_all(now)
            return
        with unavailable_when_lost():
            rows = await self._pool().fetch(*SINCE(since=self._seen_until - COMMIT_DELAY))
        self._remember(rows, self._by_owner)

    async def _read_all(self, now: datetime) -> None:
        with unavailable_when_lost():
            await self._pool().execute(*FORGET(now=now, batch=BATCH_ROWS))
            rows = await self._pool().fetch(*SINCE(since=_BEGINNING))
        everything: dict[str, _Ended] = {}
        self._remember(rows, everything)
        self._by_owner = everything
        self._whole_at = now

    def _remember(self, rows: Iterable[asyncpg.Record], by_owner: dict[str, _Ended]) -> None:
        for row in rows:
            by_owner.setdefault(row["app_id"] or row["org_id"], _Ended()).remember(_revocation(row))
            self._seen_until = max(self._seen_until, row["written_at"])


def _revocation(row: asyncpg.Record) -> Revocation:
    return Revocation(**{name: row[name] for name in _COLUMNS})
