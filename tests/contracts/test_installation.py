"""What an InstallationRepository does."""

import asyncio
from contextlib import AsyncExitStack

from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server import schema
from service.adapters.postgres.server.database import Database, dsn, open_database
from service.adapters.postgres.server.wakeups import Wakeups
from tests.contracts.conftest import BeginKept
from tests.support.factories import VAULT
from tests.support.patience import patient


async def test_it_tells_the_servers_version_and_the_schemas_revision(shared: Database, kept: BeginKept) -> None:
    version = await shared.pool.fetchval("SHOW server_version")

    async with kept() as work:
        found = await work.installation.get()

    assert (found.database, found.schema) == (version, schema.head())


async def test_it_tells_the_processes_at_work_as_long_as_they_are(database: str) -> None:
    async with open_database(database) as opened, AsyncExitStack() as stack:

        async def told(count: int) -> list[str]:
            """The roles of the processes, once there are so many."""
            async with asyncio.timeout(patient(10)):
                while True:
                    async with open_unit_of_work(opened.sessions, VAULT) as work:
                        found = await work.installation.processes()
                    if len(found) == count:
                        assert all(one.since is not None for one in found)
                        return [one.role for one in found]

        assert await told(0) == []
        for role in ("worker", "serve", "worker", None):
            await stack.enter_async_context(Wakeups(dsn(database), role=role).running())
        assert await told(3) == ["serve", "worker", "worker"]
        await stack.aclose()
        assert await told(0) == []
