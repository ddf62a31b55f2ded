"""PostgreSQL for the tests: one real server for the run, a migrated template, and a fresh database per test."""

import os
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

# A test database may be lost with the machine. Its six hundred files are made and removed for nearly every test: in
# memory that takes a fifth of the time that a disk's file system takes, which was a third of the run.
_IN_A_HURRY = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = 128MB")
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # a directory of its own is made there
_ROOM = 2 * 1024**3  # bytes free; a run takes half of that


@contextmanager
def running_server() -> Iterator[EmbeddedServer]:
    """A server in a directory of its own, both gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="relevo-tests-", dir=_place()))
    server = EmbeddedServer(directory, options=_IN_A_HURRY)
    server.acquire()
    try:
        yield server
    finally:
        server.release()
        shutil.rmtree(directory)


def _place() -> Path | None:
    """Where databases are quickest; None for where temporary files are."""
    if os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > _ROOM:
        return _IN_MEMORY
    return None


async def create_template(server: EmbeddedServer) -> None:
    """The database that all others are copied from. Nobody may be connected to it while that happens."""
    await _execute(server.url("postgres"), f"CREATE DATABASE {TEMPLATE}")
    await schema.migrate(server.url(TEMPLATE))


@asynccontextmanager
async def fresh_database(
    server: EmbeddedServer, *, template: str = TEMPLATE, options: str = "STRATEGY file_copy"
) -> AsyncIterator[str]:
    """The URL of a copy of the template that nobody else uses. Dropped afterwards, whoever is still connected."""
    name = f"test_{token_hex(6)}"
    await _execute(server.url("postgres"), f"CREATE DATABASE {name} TEMPLATE {template} {options}")
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
