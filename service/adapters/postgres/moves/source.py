"""The database that an organisation leaves: what it has there, what changes of it, and what of it is under way."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from service.adapters.postgres.moves.belongings import BELONGINGS, OWNERS
from service.adapters.postgres.moves.connection import MoversConnection
from service.adapters.postgres.moves.removing import remove
from service.adapters.postgres.moves.setting_aside import is_under_way, put_back, set_aside, tell_everybody
from service.adapters.postgres.moves.watching import unwatch, watch
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.partitions import PARTITIONED, PARTITIONS
from service.adapters.postgres.server.residence import GONE, HERE, LEAVING, STOPPED
from service.adapters.postgres.server.statements import beside
from service.application.ports.moves import Changes, MovedRows
from service.domain.ids import OrgId

MOST_OWNERS = 500  # in one statement
MOST_CHANGES = 1000
TRANSACTIONS_POLL_S = 0.005
_COPIED = [of for of in BELONGINGS if of.copied]
_PLACES = {of.table: place for place, of in enumerate(_COPIED)}

_statements = beside(__name__)
CHANGES, FORGET = _statements["changes"], _statements["forget"]
TRANSACTIONS, STILL_RUNNING = _statements["transactions"], _statements["still_running"]
RESIDENCE = "UPDATE organisation SET residence = $2 WHERE org_id = $1"


class _At(NamedTuple):
    """Where the first copy stands: at a table, one of its owners, and after a row of that owner."""

    place: int
    owner: str | None = None
    after: Sequence[str] | None = None


class PostgresMoveSource:
    """Fulfils `ports.MoveSource`."""

    def __init__(self, mover: MoversConnection, org_id: OrgId) -> None:
        self._mover = mover
        self._org_id = org_id
        self._owners: dict[str, Sequence[str]] = {}

    async def watch(self) -> None:
        """List every change of what the organisation has, from now on."""
        await watch(self._mover, (await self._mover.shapes()).values())

    async def unwatch(self) -> None:
        """List changes no more, and forget those that are listed."""
        await unwatch(self._mover)

    async def weeks(self) -> Sequence[str]:
        """The names of partitions."""
        rows = [row for table in PARTITIONED for row in await self._mover.fetch(PARTITIONS, table)]
        return [row["relname"] for row in rows]

    async def rows(self, cursor: str | None) -> MovedRows:
        """The rows from the cursor on: of one table, the rest of it or as many as are read at once."""
        at = _At(0) if cursor is None else _At(*orjson.loads(cursor))
        shape = (await self._mover.shapes())[_COPIED[at.place].table]
        of = shape.belonging
        owners = [] if of.owners is None else await self._owners_of(of.owners)
        first = 0 if at.owner is None else bisect_left(owners, at.owner)
        beyond = first + MOST_OWNERS
        asked = None if of.owners is None else owners[first:beyond]
        rows = await self._mover.fetch(shape.rows(self._org_id), asked, at.after, of.rows)
        if len(rows) == of.rows:
            then: _At | None = _At(at.place, rows[-1]["its_owner"], rows[-1]["its_place"])
        elif beyond < len(owners):
            then = _At(at.place, owners[beyond])
        else:
            then = _At(at.place + 1) if at.place + 1 < len(_COPIED) else None
        return MovedRows(
            table=of.table,
            columns=shape.columns,
            rows=[tuple(row[name] for name in shape.columns) for row in rows],
            cursor=None if then is None else orjson.dumps(list(then)).decode(),
        )

    async def changes(self) -> Changes:
        """What has changed and was not yet forgotten. The list is read before the rows, so that a row is at least as
        new as its change."""
        listed = await self._mover.fetch(*CHANGES(org_id=self._org_id, most=MOST_CHANGES))
        by_table: dict[str, set[tuple[str, ...]]] = {}
        for change in listed:
            by_table.setdefault(change["belonging"], set()).add(tuple(change["key"]))
        rows, gone = [], {}
        for table in sorted(by_table, key=_PLACES.__getitem__):
            shape = (await self._mover.shapes())[table]
            keys = orjson.dumps(sorted(by_table[table])).decode()
            found = await self._mover.fetch(shape.now(), keys)
            missing = [orjson.loads(row["its_key"]) for row in found if row["is_there"] is None]
            there = [tuple(row[name] for name in shape.columns) for row in found if row["is_there"] is not None]
            if missing:
                gone[table] = missing
            if there:
                rows.append(MovedRows(table=table, columns=shape.columns, rows=there, cursor=None))
        return Changes(ids=[change["id"] for change in listed], rows=rows, gone=gone)

    async def forget(self, changes: Changes) -> None:
        """These are copied."""
        async with self._mover.transaction() as connection:
            await connection.execute(*FORGET(ids=list(changes.ids)))

    async def leave(self) -> None:
        """Take messages in, but deliver nothing of what is not yet on its way."""
        await self._become(LEAVING)

    async def is_quiet(self) -> bool:
        """Set aside what is owed, and say whether nothing of it is on its way any more."""
        await set_aside(self._mover)
        with unavailable_when_lost():
            return not await is_under_way(await self._mover.opened(), self._org_id)

    async def stop(self) -> None:
        """Take nothing in, and return when nothing is being taken in: when every transaction has ended that may have
        seen the organisation's row as it was before."""
        await self._become(STOPPED)
        await self._transactions_end()

    async def stay(self) -> None:
        """Live here, deliver what was set aside, and tell everybody that it is due."""
        await self._become(HERE)
        await put_back(self._mover)
        await self._transactions_end()  # whoever has seen that it leaves sets aside what it takes in
        await put_back(self._mover)

    async def be_gone(self) -> None:
        """Live here no more."""
        await self._become(GONE)

    async def remove(self) -> None:
        """Delete what is left."""
        await remove(self._mover, await self._mover.shapes(), residences=[GONE])
        await tell_everybody(self._mover)

    async def _transactions_end(self) -> None:
        running = [row["id"] for row in await self._mover.fetch(*TRANSACTIONS())]
        while running:
            running = [row["id"] for row in await self._mover.fetch(*STILL_RUNNING(ids=running))]
            await asyncio.sleep(TRANSACTIONS_POLL_S)

    async def _become(self, residence: str) -> None:
        async with self._mover.transaction() as connection:
            await connection.execute(RESIDENCE, self._org_id, residence)

    async def _owners_of(self, kind: str) -> Sequence[str]:
        """All owners of that kind. They are read once: rows of later ones are listed as changes."""
        if kind not in self._owners:
            rows = await self._mover.fetch(OWNERS[kind].replace("{org}", self._org_id))
            self._owners[kind] = sorted(row[0] for row in rows)
        return self._owners[kind]
