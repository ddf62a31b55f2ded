"""A database that many tests use one after the other, with its open pools: what was written is deleted between them.

A database and pools of its own cost each test more processor time than most tests take themselves: files are copied,
connections are opened, and every statement is compiled, prepared and planned for the first time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.server.database import Database, open_database
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn, fresh_database

_TABLES = """
SELECT array_agg(relname::text) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
AND relname NOT IN ('alembic_version', 'event_type')
"""
# The migrations make event types of an organisation of Relevo's own.
_EVENT_TYPES = "DELETE FROM event_type WHERE org_id <> 'org_00000000000RelevoOperations'"
_SEQUENCES = "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"
_SCHEMA = "(SELECT count(*) FROM pg_trigger) + (SELECT count(*) FROM pg_class)"

_NOT_FOR_OTHERS = "a test that leaves nothing for others to use needs the mark own_database"


@dataclass(frozen=True, slots=True)
class SharedDatabase:
    """Its URL (`postgresql+asyncpg://`), and its pools."""

    url: str
    opened: Database
    _connection: asyncpg.Connection
    _tables: list[str]
    _relations: int = field(compare=False)

    @classmethod
    @asynccontextmanager
    async def running(cls, server: EmbeddedServer) -> "AsyncIterator[SharedDatabase]":
        """A fresh one, dropped afterwards."""
        async with fresh_database(server) as url, open_database(url) as opened:
            # Whoever replicates deletes without triggers, by which an audit's events could not be deleted.
            settings = {"session_replication_role": "replica"}
            connection = await asyncpg.connect(asyncpg_dsn(url), server_settings=settings, command_timeout=patient(10))
            try:
                tables = await connection.fetchval(_TABLES)
                relations = await connection.fetchval(f"SELECT {_SCHEMA}")
                yield cls(url, opened, connection, tables, relations)
            finally:
                await connection.close()

    async def empty(self) -> None:
        """Leave it as the migrations made it. AssertionError when its schema was changed or its pool closed."""
        assert not self.opened.pool.is_closing(), _NOT_FOR_OTHERS
        row = await self._connection.fetchrow(self._written_to())
        assert row is not None
        assert row["relations"] == self._relations, _NOT_FOR_OTHERS
        deletions = [f"DELETE FROM {table}" for table in row["tables"] if table is not None]
        await self._connection.execute(";".join([*deletions, _EVENT_TYPES, _SEQUENCES]))

    def _written_to(self) -> str:
        each = (f"CASE WHEN EXISTS (SELECT FROM {table}) THEN '{table}' END" for table in self._tables)
        return f"SELECT ARRAY[{', '.join(each)}] AS tables, {_SCHEMA} AS relations"
