"""A later release migrates the database while this one, the release before, is at work on it."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import RelevoProcess, run, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Promises

LATER = "9999"
TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND NOT relispartition AND relname <> 'alembic_version'
"""

pytestmark = pytest.mark.timeout(180)


async def test_this_release_goes_on_and_starts_anew_on_the_schema_of_a_later_one_that_took_nothing_away(
    database: str, directory: Path, receiver: Receiver
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database)
    server = RelevoProcess("serve", environ, directory / "serve.log")
    worker = RelevoProcess("worker", environ, directory / "worker.log")
    promises = Promises()

    async with running(server, worker):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        async with asyncio.TaskGroup() as group:
            group.create_task(senders.send_all(customer, count=600, clients=16, promises=promises))
            await promises.reach(150)
            await expand(database)
            await promises.reach(350)
            assert await worker.stop() == 0
            await worker.start()
        await audit.until_nothing_is_owed(database, within=patient(30))
        refused = promises.refused
        assert await server.stop() == 0
        await server.start()
        await senders.send_all(customer, count=10, clients=1, promises=Promises())
        migrated, out, _ = await run("migrate", environ=environ)

    assert refused == 0
    received = [call.header("webhook-id") for call in receiver.calls]
    assert sorted(map(str, received)) == sorted(promises.accepted.values())
    assert (migrated, out) == (0, f"The database has schema {LATER}.\n")
    assert [line for process in (server, worker) for line in process.errors()] == []


async def expand(database: str) -> None:
    """What a later release may do while this one is at work: a column for each table, table by table."""
    connection = await asyncpg.connect(asyncpg_dsn(database), server_settings={"lock_timeout": "500ms"})
    try:
        for (table,) in await connection.fetch(TABLES):
            await connection.execute(f"ALTER TABLE {table} ADD COLUMN of_a_later_release text")
        await connection.execute("UPDATE alembic_version SET version_num = $1", LATER)
    finally:
        await connection.close()
