"""The audit trail in the database: nothing of it changes, and only its old end is ever cut off."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database, open_database
from service.adapters.postgres.upkeep import ALLOW_SHORTENING, PostgresUpkeep
from service.domain import ids

NOW = datetime.now(UTC)
A_DAY = timedelta(days=1)


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Database]:
    async with open_database(database) as opened:
        yield opened


async def write(postgres: Database, *days_ago: int) -> dict[int, str]:
    """The id of an event of each of these days."""
    events = {days: new_id(ids.AUDIT_EVENT, at=NOW - days * A_DAY) for days in days_ago}
    await postgres.pool.executemany(
        "INSERT INTO audit_event (id, org_id, action, actor, role, correlation_id) VALUES ($1, '', '', '', '', '')",
        [(event,) for event in events.values()],
    )
    return events


async def kept(postgres: Database) -> set[str]:
    return {row["id"] for row in await postgres.pool.fetch("SELECT id FROM audit_event")}


async def test_what_is_older_than_the_trail_is_kept_is_dropped_and_the_rest_stays(postgres: Database) -> None:
    events = await write(postgres, 0, 29, 31, 400)

    await PostgresUpkeep(postgres.pool, kept=timedelta(days=97), audit_kept=30 * A_DAY).clear_away(now=NOW)

    assert await kept(postgres) == {events[0], events[29]}


async def test_a_clock_that_runs_ahead_shortens_nothing(postgres: Database) -> None:
    events = await write(postgres, 0, 29)

    upkeep = PostgresUpkeep(postgres.pool, kept=timedelta(days=97), audit_kept=30 * A_DAY)
    await upkeep.clear_away(now=NOW + 1000 * A_DAY)

    assert await kept(postgres) == set(events.values())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET actor = 'nobody'",
        "DELETE FROM audit_event",
        "DELETE FROM audit_event WHERE id = ANY (SELECT min(id) FROM audit_event)",
        "TRUNCATE audit_event",
        "INSERT INTO audit_event SELECT * FROM audit_event ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    ],
)
async def test_the_database_refuses_every_change(postgres: Database, statement: str) -> None:
    events = await write(postgres, 0, 400)

    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await postgres.pool.execute(statement)

    assert await kept(postgres) == set(events.values())


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_event SET actor = 'nobody'", "DELETE FROM audit_event", "TRUNCATE audit_event"]
)
async def test_who_may_shorten_the_trail_may_do_no_more(postgres: Database, statement: str) -> None:
    events = await write(postgres, 0, 29, 400)

    async def shorten() -> None:
        async with postgres.pool.acquire() as connection, connection.transaction():
            await connection.execute(*ALLOW_SHORTENING(before=ids.lowest(ids.AUDIT_EVENT, NOW - 30 * A_DAY)))
            await connection.execute(statement)

    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await shorten()

    assert await kept(postgres) == set(events.values())
