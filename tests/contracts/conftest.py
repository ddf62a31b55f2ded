"""Each contract is asked of PostgreSQL, and of the memory where tests of use cases have one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork, open_unit_of_work
from service.adapters.postgres.server.database import Database, open_database
from tests.support import postgres
from tests.support.factories import VAULT
from tests.support.memory import MemoryStore, MemoryUnitOfWork

Work = MemoryUnitOfWork | PostgresUnitOfWork
Begin = Callable[[], AbstractAsyncContextManager[Work]]
BeginKept = Callable[[], AbstractAsyncContextManager[PostgresUnitOfWork]]


@pytest.fixture(params=["memory", "postgres"])
def begin(request: pytest.FixtureRequest) -> Begin:
    """Opens a unit of work that commits at its end, or undoes everything when it fails."""
    chosen: Begin = request.getfixturevalue(f"in_{request.param}")
    return chosen


@pytest.fixture
def in_memory() -> Begin:
    return partial(_in_memory, MemoryStore())


@pytest.fixture
async def in_postgres(database: str) -> AsyncIterator[Begin]:
    async with open_database(database) as opened:
        yield partial(_in_postgres, opened)


@asynccontextmanager
async def _in_memory(store: MemoryStore) -> AsyncIterator[Work]:
    async with _ending(store.begin()) as work:
        yield work


@asynccontextmanager
async def _in_postgres(database: Database) -> AsyncIterator[Work]:
    async with database.sessions() as session, _ending(PostgresUnitOfWork(session, VAULT)) as work:
        yield work


@asynccontextmanager
async def _ending(work: Work) -> AsyncIterator[Work]:
    try:
        yield work
        await work.commit()
    except BaseException:
        await work.rollback()
        raise


@pytest.fixture(scope="module")
async def shared(migrated_server: EmbeddedServer) -> AsyncIterator[Database]:
    """One database for the tests of a module: each of them has applications of its own."""
    async with postgres.fresh_database(migrated_server) as url, open_database(url) as opened:
        yield opened


@pytest.fixture
def kept(shared: Database) -> BeginKept:
    """Opens a unit of work that commits at its end. What it keeps, other tests of the module may meet."""
    return partial(open_unit_of_work, shared.sessions, VAULT)
