"""What every test can ask for. Coroutine tests and fixtures run on asyncio, through anyio (`anyio_mode`)."""

import gc
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path

import pytest

from service.adapters.machine.embedded import EmbeddedServer
from service.commands.execution import GC_THRESHOLDS
from tests.support import postgres
from tests.support.hanging import bound
from tests.support.shared_database import SharedDatabase

gc.set_threshold(*GC_THRESHOLDS)  # as Relevo does
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has what it runs in the background ignore Ctrl-C, and so would every process that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = _long_ones_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    bound(items)


def _long_ones_first(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Each worker is given as many tests in a row: first its share of the modules that take long, so that nobody waits
    at the end for one that has just begun."""
    modules = [list(module) for _, module in groupby(items, key=lambda item: item.path)]
    long = [module for module in modules if _takes_long(module)]
    short = [item for module in modules if module not in long for item in module]
    size = len(items) // workers
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        ordered += chain.from_iterable(long[worker::workers])
        room = max(0, (worker + 1) * size - len(ordered))
        ordered += short[:room]
        del short[:room]
    return ordered + short


def _takes_long(module: Sequence[pytest.Item]) -> bool:
    """It starts processes, or has a mark that says so."""
    return module[0].path.parent.name == "system" or any(item.get_closest_marker("timeout") for item in module)


def pytest_collection_finish() -> None:
    """What has been loaded and collected stays to the end, and need not be looked through for garbage."""
    gc.freeze()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What a module has left open is told of with its last test, not with that of another at which it is collected."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()


@pytest.fixture
def directory() -> Iterator[Path]:
    """Like `tmp_path`, for PostgreSQL: short enough for the path of a socket below it, and not below pytest's own
    directory, which the next run on the machine closes to all other users, PostgreSQL's among them."""
    with tempfile.TemporaryDirectory(prefix="relevo-") as path:
        yield Path(path)


@pytest.fixture
def chance() -> random.Random:
    """Chance that can be had again: SEED of a failed run repeats it."""
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")  # noqa: T201  # pytest shows it with a failure
    return random.Random(seed)


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


@pytest.fixture(scope="session")
async def shared_database(migrated_server: EmbeddedServer) -> AsyncIterator[SharedDatabase]:
    """A migrated database for tests one after the other, which `empty` it."""
    async with SharedDatabase.running(migrated_server) as shared:
        yield shared


@pytest.fixture
async def empty_database(postgres_server: EmbeddedServer) -> AsyncIterator[str]:
    """The URL of a database that was never migrated."""
    async with postgres.fresh_database(postgres_server, template="template0") as url:
        yield url
