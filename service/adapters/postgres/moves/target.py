"""The database that an organisation comes to. What arrives is set aside, so that nobody works on it."""

from collections.abc import Sequence

import asyncpg
import orjson

from service.adapters.postgres.moves.columns import Shape
from service.adapters.postgres.moves.connection import MoversConnection
from service.adapters.postgres.moves.removing import remove
from service.adapters.postgres.moves.setting_aside import put_back
from service.adapters.postgres.server import partitions
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.residence import ARRIVING, HERE, RETURNING
from service.adapters.postgres.server.statements import beside
from service.application.ports.moves import Changes, MovedRows
from service.domain.ids import OrgId

ON_THE_WAY = (ARRIVING, RETURNING)

_statements = beside(__name__)
EXPECTED, MOVE_IN = _statements["expected"], _statements["move_in"]
# Not for an organisation that lives here, which no move brings here.
EXPECT = """
    INSERT INTO organisation (org_id, residence, mover) VALUES ($1, 'arriving', $2)
    ON CONFLICT (org_id) DO UPDATE SET mover = excluded.mover,
        residence = CASE WHEN organisation.residence = 'gone' THEN 'returning' ELSE organisation.residence END
    WHERE organisation.mover IS NULL OR organisation.mover <= excluded.mover
"""
FORGET_NEW, FORGET_RETURNING = _statements["forget_new"], _statements["forget_returning"]


class PostgresMoveTarget:
    """Fulfils `ports.MoveTarget`."""

    def __init__(self, mover: MoversConnection, org_id: OrgId) -> None:
        self._mover = mover
        self._org_id = org_id

    async def expect(self, weeks: Sequence[str]) -> None:
        """Let nobody but this move bring anything of the organisation's."""
        with unavailable_when_lost():
            connection = await self._mover.opened()
            await connection.execute(EXPECT, self._org_id, self._mover.mover)
            await partitions.match(connection, weeks)

    async def take(self, rows: MovedRows) -> None:
        """Store these rows in place of those that have arrived before."""
        known = await self._mover.shapes()
        async with self._mover.transaction(residences=ON_THE_WAY) as connection:
            await _store(connection, known[rows.table], rows)

    async def apply(self, changes: Changes) -> None:
        """The same for changes, all or none."""
        known = await self._mover.shapes()
        async with self._mover.transaction(residences=ON_THE_WAY) as connection:
            for table, keys in reversed(list(changes.gone.items())):
                await connection.execute(known[table].gone(), orjson.dumps(keys).decode())
            for rows in changes.rows:
                await _store(connection, known[rows.table], rows)

    async def move_in(self) -> None:
        """Live here from now on, and take messages in."""
        async with self._mover.transaction(residences=[*ON_THE_WAY, HERE]) as connection:
            await connection.execute(*MOVE_IN(org_id=self._org_id))

    async def resume(self) -> None:
        """Deliver what was set aside, and tell everybody that it is due."""
        await put_back(self._mover)

    async def remove(self) -> None:
        """Delete what has arrived. If nothing was expected yet, nothing has."""
        if await self._mover.fetch(*EXPECTED(org_id=self._org_id)):
            await remove(self._mover, await self._mover.shapes(), residences=ON_THE_WAY)

    async def forget(self) -> None:
        """Expect it no more. A row stays where it has lived before."""
        with unavailable_when_lost():
            connection = await self._mover.opened()
            for statement in (FORGET_NEW, FORGET_RETURNING):
                await connection.execute(*statement(org_id=self._org_id, mover=self._mover.mover))


async def _store(connection: asyncpg.Connection, shape: Shape, rows: MovedRows) -> None:
    if not rows.rows:
        return
    await connection.execute(shape.stage())
    await connection.copy_records_to_table(shape.staged, records=rows.rows, columns=rows.columns)
    free = shape.free()
    if free is not None:
        await connection.execute(free)
    await connection.execute(shape.settle())
    await connection.execute(f"TRUNCATE {shape.staged}")
