"""The schema's version against a real database."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.server import schema
from tests.support.postgres import asyncpg_dsn, fresh_database

WAITING = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"


async def test_migrating_brings_an_empty_database_to_this_release(empty_database: str) -> None:
    await schema.migrate(empty_database)

    await schema.check(empty_database)


async def test_migrating_again_changes_nothing(database: str) -> None:
    before = await _tables(database)

    await schema.migrate(database)

    assert await _tables(database) == before


async def test_many_processes_may_migrate_at_once(empty_database: str) -> None:
    await asyncio.gather(*(schema.migrate(empty_database) for _ in range(5)))

    await schema.check(empty_database)


async def test_a_database_that_was_never_migrated_is_refused_with_the_command_to_run(empty_database: str) -> None:
    with pytest.raises(schema.SchemaOutdated, match=r"has no schema yet.*Run `relevo migrate`"):
        await schema.check(empty_database)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
async def test_a_new_database_that_cannot_hold_every_character_is_refused_and_left_empty(
    postgres_server: EmbeddedServer, encoding: str
) -> None:
    options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    async with fresh_database(postgres_server, template="template0", options=options) as url:
        with pytest.raises(schema.EncodingUnfit, match=rf"encoding {encoding}, .*ENCODING 'UTF8' TEMPLATE template0"):
            await schema.migrate(url)

        assert await _tables(url) == []


@pytest.mark.parametrize("use", [schema.check, schema.migrate])
async def test_a_later_releases_database_is_left_alone_when_it_misses_what_this_release_needs(
    database: str, use: Callable[[str], Awaitable[object]]
) -> None:
    await _execute(database, "UPDATE alembic_version SET version_num = '9999'")
    await _execute(database, "INSERT INTO needed_revision VALUES ('9998')")

    with pytest.raises(schema.SchemaTooNew, match=r"This release is older than the database.*9999"):
        await use(database)


async def test_a_later_releases_database_will_do_when_nothing_is_missing(database: str) -> None:
    await _execute(database, "INSERT INTO needed_revision VALUES ('0010')")
    await _execute(database, "UPDATE alembic_version SET version_num = '9999'")
    before = await _tables(database)

    await schema.check(database)

    assert await schema.migrate(database) == "9999"
    assert await _tables(database) == before


async def test_a_migration_gives_way_to_those_who_use_a_table_and_is_tried_again(empty_database: str) -> None:
    # Two of them, since within a transaction PostgreSQL may repeat what it said first of what others do.
    user, onlooker = [await asyncpg.connect(asyncpg_dsn(empty_database)) for _ in range(2)]
    using = user.transaction()
    await using.start()
    await user.execute("CREATE TABLE application ()")  # what the first revision makes, so it waits for us

    migration = asyncio.create_task(schema.migrate(empty_database))
    for waiting in (True, False):
        while await onlooker.fetchval(WAITING) != waiting:  # another connection's doing
            assert not migration.done(), await migration
            await asyncio.sleep(0.01)
    await using.rollback()

    assert await migration == schema.head()
    await user.close()
    await onlooker.close()


async def test_a_migration_that_fails_leaves_nothing_behind(empty_database: str) -> None:
    await _execute(empty_database, "CREATE TABLE idempotency_key ()")

    with pytest.raises(Exception, match=r"already exists"):
        await schema.migrate(empty_database)

    assert await _tables(empty_database) == ["idempotency_key"]


async def test_a_database_that_is_not_there_is_told_in_a_sentence(empty_database: str) -> None:
    with pytest.raises(schema.DatabaseUnreachable, match=r"cannot be reached: .* does not exist"):
        await schema.check(empty_database.replace("?", "_not?", 1))
    with pytest.raises(schema.DatabaseUnreachable, match=r"cannot be reached: .*RELEVO_DATABASE_URL"):
        await schema.check("postgresql+asyncpg://u:hush@127.0.0.1:1/relevo")


async def _tables(url: str) -> list[str]:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    finally:
        await connection.close()
    return [row["tablename"] for row in rows]


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
