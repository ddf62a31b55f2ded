"""What every test can ask for. Coroutine tests and fixtures run on asyncio, through anyio (`anyio_mode`)."""

import gc
import signal
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from service.adapters.machine.embedded import EmbeddedServer
from service.commands.running import COLLECT_SELDOM
from tests.support import postgres
from tests.support.patience import patient

USUALLY_WITHIN = 120.0  # seconds

gc.set_threshold(*COLLECT_SELDOM)  # as Relevo does
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has what it runs in the background ignore Ctrl-C, and so would every process that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """No test may hang. How long each may take, by its own mark or as usual, is for a quiet machine."""
    for item in items:
        own = item.get_closest_marker("timeout")
        item.add_marker(pytest.mark.timeout(patient(own.args[0] if own else USUALLY_WITHIN)), append=False)


def pytest_collection_finish() -> None:
    """What has been loaded and collected stays to the end, and need not be looked through for garbage."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def anyio_backend() -> str:
    """Asked for by every test, so that a coroutine fixture need not."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedServer]:
    """The run's own PostgreSQL server, started when the first test wants it."""
    with postgres.running_server() as server:
        yield server


@pytest.fixture(scope="session")
async def migrated_server(postgres_server: EmbeddedServer) -> EmbeddedServer:
    """The server once it has the template."""
    await postgres.create_template(postgres_server)
    return postgres_server


@pytest.fixture
async def database(migrated_server: EmbeddedServer) -> AsyncIterator[str]:
    """The URL (`postgresql+asyncpg://`) of a migrated database of the test's own."""
    async with postgres.fresh_database(migrated_server) as url:
        yield url


@pytest.fixture
async def empty_database(postgres_server: EmbeddedServer) -> AsyncIterator[str]:
    """The URL of a database that was never migrated."""
    async with postgres.fresh_database(postgres_server, template="template0") as url:
        yield url
