"""The mover's own connection to a database: opened when it is first used, and never used again after a fault."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from service.adapters.postgres.moves.columns import Shape, shapes
from service.adapters.postgres.server.connections import connect, limits
from service.adapters.postgres.server.database import unavailable_when_lost
from service.domain.ids import OrgId
from service.domain.moves import MoveTaken

STATEMENT_TIMEOUT_S, CLIENT_TIMEOUT_S = 55.0, 60.0
_BY_INDEX = {"enable_seqscan": "off"}  # as the hot path: what an organisation has is little of what is there
_NO_LONGER = {"idle_in_transaction_session_timeout": "10s"}  # a mover that hangs keeps no lock from the next one
CLAIM = "UPDATE organisation SET mover = $2 WHERE org_id = $1 AND (mover IS NULL OR mover < $2)"
# The lock lasts as long as the transaction, and makes another mover wait that takes over.
HOLD = "SELECT residence FROM organisation WHERE org_id = $1 AND mover = $2 FOR SHARE"


class MoversConnection:
    """Statements of that mover for the organisation, over the direct address `url`."""

    def __init__(self, url: str, org_id: OrgId, mover: int) -> None:
        self._url = url
        self.org_id = org_id
        self.mover = mover
        self._connection: asyncpg.Connection | None = None
        self._shapes: Mapping[str, Shape] = {}

    @asynccontextmanager
    async def transaction(self, *, residences: Sequence[str] | None = None) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that no other mover has taken over before it ends. With `residences`, the organisation's row
        has one of these, or it is taken for another mover's. Raises Unavailable, MoveTaken."""
        with unavailable_when_lost():
            connection = await self.opened()
            async with connection.transaction():
                found = await connection.fetchval(HOLD, self.org_id, self.mover)
                if found is None or (residences is not None and found not in residences):
                    raise MoveTaken
                yield connection

    async def opened(self) -> asyncpg.Connection:
        """The connection; with the first use this mover takes over. Raises an error of the connection."""
        if self._connection is None:
            self._connection = await connect(
                self._url,
                command_timeout=CLIENT_TIMEOUT_S,
                server_settings=limits(statement=STATEMENT_TIMEOUT_S) | _BY_INDEX | _NO_LONGER,
            )
            await self._connection.execute(CLAIM, self.org_id, self.mover)
        return self._connection

    async def shapes(self) -> Mapping[str, Shape]:
        """The tables that are moved, as they are here, by name, parents first. Raises Unavailable."""
        if not self._shapes:
            with unavailable_when_lost():
                self._shapes = await shapes(await self.opened())
        return self._shapes

    def close(self) -> None:
        """Close it at once, whatever it is doing."""
        if self._connection is not None:
            self._connection.terminate()

    async def fetch(self, statement: Any, *values: Any) -> Sequence[asyncpg.Record]:
        """Rows, outside of a transaction. Raises Unavailable."""
        with unavailable_when_lost():
            rows: Sequence[asyncpg.Record] = await (await self.opened()).fetch(statement, *values)
        return rows
