"""PostgreSQL for the tests: one real server for the run, a migrated template, and a fresh database per test."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from secrets import token_hex

import asyncpg
from sqlalchemy import make_url

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.server import schema

TEMPLATE = "relevo_template"

# A test database may be lost with the machine: not waiting for the disk is worth a third of the run.
_IN_A_HURRY = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


@contextmanager
def running_server() -> Iterator[EmbeddedServer]:
    """A server in a directory of its own, both gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="relevo-tests-"))
    server = EmbeddedServer(directory, options=_IN_A_HURRY)
    server.acquire()
    try:
        yield server
    finally:
        server.release()
        shutil.rmtree(directory)


async def create_template(server: EmbeddedServer) -> None:
    """The database that all others are copied from. Nobody may be connected to it while that happens."""
    await _execute(server.url("postgres"), f"CREATE DATABASE {TEMPLATE}")
    await schema.migrate(server.url(TEMPLATE))


@asynccontextmanager
async def fresh_database(server: EmbeddedServer, *, template: str = TEMPLATE) -> AsyncIterator[str]:
    """The URL of a copy of the template that nobody else uses. Dropped afterwards, whoever is still connected."""
    name = f"test_{token_hex(6)}"
    await _execute(server.url("postgres"), f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield server.url(name)
    finally:
        await _execute(server.url("postgres"), f"DROP DATABASE {name} WITH (FORCE)")


def asyncpg_dsn(url: str) -> str:
    """The same database as asyncpg's own `connect` and `create_pool` want it written."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
