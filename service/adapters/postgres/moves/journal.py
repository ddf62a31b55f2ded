"""The record of a move, in the database that is home. Whoever has the lock is the mover."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from service.adapters.postgres.server.connections import connect, limits
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.statements import beside
from service.domain.ids import OrgId
from service.domain.moves import BEFORE_THE_SWITCH, Move, MoveStep, MoveTaken

LOCK = 0x52454C4D  # "RELM": the key of the advisory lock that the mover holds
STATEMENT_TIMEOUT_S, CLIENT_TIMEOUT_S = 8.0, 10.0
# PostgreSQL ends the session of a mover that says nothing, with its lock: one that hangs, and whose machine is gone.
UNLESS_HEARD_OF = {
    "idle_session_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
_statements = beside(__name__)
CURRENT, CANCEL = _statements["current"], _statements["cancel"]
CLAIM, PROGRESS, ENTER = _statements["claim"], _statements["progress"], _statements["enter"]
BEGIN = """
    INSERT INTO tenant_move (org_id, source, target, step) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING RETURNING org_id
"""
SWITCH, HOME, END = _statements["switch"], _statements["home"], _statements["end"]


class PostgresMoveJournal:
    """Fulfils `ports.MoveJournal`, for that mover."""

    def __init__(self, connection: asyncpg.Connection, org_id: OrgId, mover: int) -> None:
        self._connection = connection
        self._org_id = org_id
        self._mover = mover

    async def current(self) -> Move | None:
        """The move as it stands; None once it has ended. Raises Unavailable, MoveTaken."""
        with unavailable_when_lost():
            row = await self._connection.fetchrow(*CURRENT())
        if row is None or row["org_id"] != self._org_id:
            return None
        if row["mover"] != self._mover:
            raise MoveTaken
        return _move(row)

    async def progress(self, cursor: str | None, *, copied: int) -> None:
        """The first copy is at `cursor`, `copied` rows further. Raises Unavailable, MoveTaken."""
        await self._change(PROGRESS(org_id=self._org_id, mover=self._mover, cursor=cursor, copied=copied))

    async def enter(self, step: MoveStep) -> None:
        """The move stands there from now on. Raises Unavailable, MoveTaken."""
        await self._change(ENTER(org_id=self._org_id, mover=self._mover, step=str(step)))

    async def switch(self) -> bool:
        """In one transaction: the organisation lives in the other database, and the step is RESUMING. False, without a
        change, if the move was cancelled. Raises Unavailable when nobody knows."""
        with unavailable_when_lost():
            async with self._connection.transaction():
                row = await self._connection.fetchrow(*SWITCH(org_id=self._org_id, mover=self._mover))
                if row is None:
                    return False
                await self._connection.execute(*HOME(org_id=self._org_id, target=row["target"]))
        return True

    async def end(self) -> None:
        """Forget the move. Raises Unavailable, MoveTaken."""
        await self._change(END(org_id=self._org_id, mover=self._mover))

    async def _change(self, statement: tuple[object, ...]) -> None:
        with unavailable_when_lost():
            if await self._connection.fetchval(*statement) is None:
                raise MoveTaken


class Moves:
    """The moves of an installation, of which there is one at a time. Over a connection to home of its own; to look for
    one, a pool will do."""

    def __init__(self, connection: asyncpg.Connection | asyncpg.Pool) -> None:
        self._connection = connection

    async def take(self) -> bool:
        """Be the mover as long as the connection lasts; False if there is another one. Raises Unavailable."""
        with unavailable_when_lost():
            return bool(await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK))

    async def current(self) -> Move | None:
        """The one that is under way. Raises Unavailable."""
        with unavailable_when_lost():
            row = await self._connection.fetchrow(*CURRENT())
        return None if row is None else _move(row)

    async def begin(self, org_id: OrgId, *, source: str, target: str) -> bool:
        """Record a new one; False, without a change, while there is one. Raises Unavailable."""
        with unavailable_when_lost():
            begun = await self._connection.fetchval(BEGIN, org_id, source, target, MoveStep.COPYING)
        return begun is not None

    async def cancel(self, org_id: OrgId) -> bool:
        """Have it undone; False if it has switched, or there is none. Raises Unavailable."""
        steps = [str(step) for step in BEFORE_THE_SWITCH]
        with unavailable_when_lost():
            cancelled = await self._connection.fetchval(*CANCEL(org_id=org_id, steps=steps))
        return cancelled is not None

    async def claim(self, org_id: OrgId) -> int:
        """Take the move over from whoever had it; returns this mover's number. Raises Unavailable, and MoveTaken when
        it has ended."""
        with unavailable_when_lost():
            mover: int | None = await self._connection.fetchval(*CLAIM(org_id=org_id))
        if mover is None:
            raise MoveTaken
        return mover

    def journal(self, org_id: OrgId, mover: int) -> PostgresMoveJournal:
        """The record of that move, for this mover."""
        return PostgresMoveJournal(self._connection, org_id, mover)


@asynccontextmanager
async def open_moves(url: str) -> AsyncIterator[Moves]:
    """Over the direct address of the database that is home. Raises Unavailable."""
    with unavailable_when_lost():
        connection = await connect(
            url,
            command_timeout=CLIENT_TIMEOUT_S,
            server_settings=limits(statement=STATEMENT_TIMEOUT_S) | UNLESS_HEARD_OF,
        )
    try:
        yield Moves(connection)
    finally:
        connection.terminate()


def _move(row: asyncpg.Record) -> Move:
    return Move(
        org_id=OrgId(row["org_id"]),
        source=row["source"],
        target=row["target"],
        step=MoveStep(row["step"]),
        cancelled=row["cancelled"],
        cursor=row["cursor"],
        copied=row["copied"],
        started_at=row["started_at"],
    )
