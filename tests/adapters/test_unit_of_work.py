"""The end of a transaction: what went wrong first is what is told, whatever the undoing meets."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import Database, open_database
from service.adapters.postgres.server.transaction import Transaction
from tests.support.factories import ORG, VAULT

OWN_PROCESS = "SELECT pg_backend_pid()"
END = "SELECT pg_terminate_backend(:process, 5000)"


class WentWrong(Exception):
    """What the block raises."""


async def cut(database: Database, session: AsyncSession) -> None:
    """End the server's side of the session's connection."""
    process = await session.scalar(text(OWN_PROCESS))
    async with database.sessions() as other:
        assert await other.scalar(text(END), {"process": process})


async def go_wrong(database: Database) -> None:
    """A unit of work whose connection is gone when it has to be undone."""
    session = database.sessions()
    async with open_unit_of_work(lambda: session, VAULT):
        await cut(database, session)
        raise WentWrong


async def test_an_error_is_told_although_the_connection_that_would_undo_the_work_is_lost(database: str) -> None:
    async with open_database(database) as opened:
        with pytest.raises(WentWrong):
            await go_wrong(opened)


async def test_after_a_lost_connection_the_pool_gives_one_that_works(database: str) -> None:
    async with open_database(database) as opened:
        async with opened.sessions() as session:
            await cut(opened, session)
            await Transaction(session).rollback()

        async with open_unit_of_work(opened.sessions, VAULT) as work:
            found = await work.applications.get(ORG, "nobody")

    assert found is None
