"""Each revision after the other, over rows that the ones before left, while releases from before go on writing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from service.adapters.postgres.server import schema

# Tables and columns that a later revision takes away, once no release that reads them can be running any more.
TAKEN_AWAY: frozenset[tuple[str, str]] = frozenset()

Columns = dict[str, dict[str, str]]
Row = dict[str, Any]

# By the type of a column what a row holds there; texts and bytes are its own name, so that references lead somewhere.
_VALUES = {
    "bigint[]": "ARRAY[7, 8]",
    "text[]": "ARRAY['one', 'two']",
    "boolean": "true",
    "integer": "7",
    "smallint": "7",
    "bigint": "7",
    "json": """'{"kept": [1]}'""",
    "jsonb": """'{"kept": [1]}'""",
    "double precision": "1.5",
    "timestamp with time zone": "'2026-01-02T03:04:05Z'",
}


@dataclass(frozen=True, slots=True)
class Written:
    """A row as it was when it was written."""

    table: str
    row: Row


@pytest.fixture
async def connection(empty_database: str) -> AsyncIterator[AsyncConnection]:
    """To a database without any schema."""
    engine = create_async_engine(empty_database, poolclass=NullPool)
    async with engine.connect() as opened:
        yield opened
    await engine.dispose()


def revisions() -> list[str]:
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


def test_the_files_names_tell_the_revisions_that_alembic_finds_in_them() -> None:
    assert revisions() == sorted(schema._known())


async def test_what_each_schema_held_is_still_there_at_the_end_and_at_every_step(connection: AsyncConnection) -> None:
    written: list[Written] = []

    for revision in revisions():
        await connection.run_sync(_upgrade, revision)

        assert await _lost(connection, written) == [], revision
        columns = await _columns(connection)
        written += await _write(connection, f"r{revision}", columns)

    assert {one.table for one in written} == set(columns)
    assert revision == schema.head()


async def test_releases_from_before_may_go_on_writing_whatever_revisions_are_already_there(
    connection: AsyncConnection,
) -> None:
    before: dict[str, Columns] = {}

    for revision in revisions():
        await connection.run_sync(_upgrade, revision)

        for known, columns in before.items():
            written = await _write(connection, f"{known}in{revision}", columns)
            assert {one.table for one in written} == set(columns), (known, revision)
        before[revision] = await _in_order(connection, revision)


async def test_messages_from_before_there_were_labels_are_found_by_their_labels(connection: AsyncConnection) -> None:
    await connection.run_sync(_upgrade, "0005")
    await _write(connection, "old", await _columns(connection))

    await connection.run_sync(_upgrade, "0006")

    rows = await connection.execute(text("SELECT label FROM message_label WHERE message_id = 'old' ORDER BY 1"))
    assert rows.scalars().all() == ["channel:one", "channel:two", "tag:one", "tag:two"]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "service.adapters.postgres.server:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    connection.commit()


async def _columns(connection: AsyncConnection) -> Columns:
    """Name and type of each column of each table, partitions aside."""
    found: Columns = {}
    for table, column, kind in await connection.execute(
        text(
            "SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND c.relname <> 'alembic_version'"
        )
    ):
        found.setdefault(table, {})[column] = kind
    return found


async def _in_order(connection: AsyncConnection, revision: str) -> Columns:
    """The same, each table behind those that it refers to: in the order in which rows were accepted."""
    columns = await _columns(connection)
    written = await _write(connection, f"r{revision}", columns)
    return {one.table: columns[one.table] for one in written}


async def _write(connection: AsyncConnection, name: str, columns: Columns) -> list[Written]:
    """A row into each table, whichever has to be there first."""
    written: list[Written] = []
    waiting = dict(columns)
    while waiting:
        done = [table for table, kinds in waiting.items() if await _insert(connection, table, kinds, name, written)]
        assert done, f"no row of {sorted(waiting)} is accepted"
        for table in done:
            del waiting[table]
    await connection.commit()
    return written


async def _insert(
    connection: AsyncConnection, table: str, kinds: dict[str, str], name: str, written: list[Written]
) -> bool:
    values = ", ".join(_VALUES.get(kind, f"'{name}'") for kind in kinds.values())
    statement = f"INSERT INTO {table} AS added ({', '.join(kinds)}) VALUES ({values}) RETURNING to_jsonb(added)"
    try:
        async with connection.begin_nested():
            row = (await connection.exec_driver_sql(statement)).scalar_one()
    except IntegrityError:
        return False
    written.append(Written(table, row))
    return True


async def _lost(connection: AsyncConnection, written: list[Written]) -> list[str]:
    """The rows that are no longer there as they were, with their tables; what was added to them does not matter."""
    lost: list[str] = []
    for table in dict.fromkeys(one.table for one in written):
        rows = [
            _json({column: value for column, value in one.row.items() if (table, column) not in TAKEN_AWAY})
            for one in written
            if one.table == table
        ]
        gone = await connection.execute(
            text(
                "SELECT kept FROM unnest(CAST(:rows AS jsonb[])) AS kept"
                f" WHERE (SELECT count(*) FROM {table} t WHERE to_jsonb(t) @> kept) <> 1"
            ),
            {"rows": rows},
        )
        lost += [f"{table}: {row}" for row in gone.scalars()]
    return lost


def _json(row: Row) -> str:
    return orjson.dumps(row).decode()
