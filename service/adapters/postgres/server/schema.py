"""The schema's version: bringing a database up to this release, and refusing to run on one that does not fit.

A release runs on the schema of a later one, unless that has taken away what it needs: so the one before goes on, and
may start anew, while and after the next one's migration runs. See `needed_revision`.

The migrations are found through the package, so an installed wheel has them. Each run holds an advisory lock: any
number of processes may migrate the same database at the same time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeGuard

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from service.adapters.postgres.server.database import engine_on

_LOCK = 0x52454C45564F  # "RELEVO": the key of the advisory lock

# Who waits for a table to itself makes everybody wait who comes after. Less than PostgreSQL's `deadlock_timeout`, so
# that it is the migration that gives way.
WAIT_FOR_TABLE = 0.5
TRIES, PAUSE = 60, 1.0


class DatabaseUnreachable(Exception):
    """There is no database at that address, or it does not let us in."""

    def __init__(self, reason: BaseException) -> None:
        why = " ".join(str(reason).split()).rstrip(".") or type(reason).__name__
        super().__init__(f"The database cannot be reached: {why}. Is RELEVO_DATABASE_URL right, and is it running?")


class SchemaBusy(Exception):
    """Some table was never free, so nothing was changed."""

    def __init__(self) -> None:
        super().__init__("The schema was not changed: some table is in use all the time. Run this again later.")


class SchemaMismatch(Exception):
    """The database's schema is not the one this release was written for."""


class SchemaOutdated(SchemaMismatch):
    """The database has not been brought up to this release yet."""

    def __init__(self, found: str | None, wanted: str) -> None:
        has = f"has schema {found}" if found else "has no schema yet"
        super().__init__(f"The database {has}, this release needs {wanted}. Run `relevo migrate`.")


class SchemaTooNew(SchemaMismatch):
    """The database was migrated by a later release."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"This release is older than the database: it knows schema {known}, the database has {found}. "
            "Run the release that migrated it, or a later one."
        )


async def migrate(url: str) -> str:
    """Bring the database at `url` to this release's schema, all of it or nothing, and return the revision that it has:
    a later one if a later release was there. Who works on it meanwhile is not held up. SchemaTooNew, SchemaBusy."""
    async with _connected(url) as connection:
        for _ in range(TRIES):
            try:
                async with connection.begin():
                    return await connection.run_sync(upgrade)
            except DBAPIError as error:
                if not isinstance(error.orig and error.orig.__cause__, asyncpg.LockNotAvailableError):
                    raise
            await asyncio.sleep(PAUSE)
    raise SchemaBusy


async def check(url: str) -> None:
    """SchemaOutdated or SchemaTooNew unless this release can run on the database at `url`."""
    async with _connected(url) as connection:
        await connection.run_sync(_check)


def upgrade(connection: Connection) -> str:
    """Run what is missing inside the caller's transaction, and return the revision that there is then."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_FOR_TABLE}s'"))
    found = current(connection)
    if _is_later(found, connection):
        return found
    if found != head():
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head()


def current(connection: Connection) -> str | None:
    """The revision of the database, None when it was never migrated."""
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The revision this release needs."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise RuntimeError("the package lacks its migrations")
    return revision


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    connection = engine_on(url, poolclass=NullPool).connect()
    try:
        await connection.start()
    except (OSError, DBAPIError) as error:
        said = error.orig if isinstance(error, DBAPIError) else None
        raise DatabaseUnreachable((said and said.__cause__) or said or error) from error
    try:
        yield connection
    finally:
        await connection.close()


def _check(connection: Connection) -> None:
    found = current(connection)
    if not _is_later(found, connection) and found != head():
        raise SchemaOutdated(found, head())


def _is_later(found: str | None, connection: Connection) -> TypeGuard[str]:
    """Whether a later release has migrated it. SchemaTooNew when this release misses something there."""
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is None or found in known:
        return False
    needed = connection.scalars(text("SELECT revision FROM needed_revision"))
    if not known.issuperset(needed):
        raise SchemaTooNew(found, head())
    return True


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "service.adapters.postgres.server:migrations")
    config.set_main_option("path_separator", "os")
    return config
