"""The database that the tests here share is empty again after each, whatever they wrote."""

import pytest

from service.adapters.postgres.server.database import Database
from tests.support.shared_database import SharedDatabase

COUNTS = """
SELECT string_agg(format('SELECT %L AS name, count(*) AS rows FROM %I', relname, relname), ' UNION ALL ')
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""


@pytest.mark.usefixtures("things")
async def test_whatever_was_written_is_deleted(postgres: Database, shared_database: SharedDatabase) -> None:
    before = await _written(postgres)

    await shared_database.empty()

    assert len(before) > 10
    assert await _written(postgres) == {"alembic_version": 1, "event_type": 7}


async def test_who_changes_the_schema_is_told(postgres: Database, shared_database: SharedDatabase) -> None:
    await postgres.pool.execute("CREATE TABLE of_a_test ()")
    try:
        with pytest.raises(AssertionError, match="own_database"):
            await shared_database.empty()
    finally:
        await postgres.pool.execute("DROP TABLE of_a_test")


async def _written(postgres: Database) -> dict[str, int]:
    rows = await postgres.pool.fetch(await postgres.pool.fetchval(COUNTS))
    return {row["name"]: row["rows"] for row in rows if row["rows"]}
