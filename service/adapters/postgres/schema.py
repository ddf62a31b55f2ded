"""The schema's version: bringing a database up to this release, and refusing to run on one that does not fit.

The migrations are found through the package, so an installed wheel has them. Each run holds an advisory lock: any
number of processes may migrate the same database at the same time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

_LOCK = 0x52454C45564F  # "RELEVO": the key of the advisory lock


class DatabaseUnreachable(Exception):
    """There is no database at that address, or it does not let us in."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__(f"The database cannot be reached: {reason}. Is RELEVO_DATABASE_URL right, and is it running?")


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


async def migrate(url: str) -> None:
    """Bring the database at `url` to this release's schema, all of it or nothing. SchemaTooNew when it is beyond."""
    async with _connected(url) as connection, connection.begin():
        await connection.run_sync(upgrade)


async def check(url: str) -> None:
    """SchemaOutdated or SchemaTooNew unless the database at `url` has exactly this release's schema."""
    async with _connected(url) as connection:
        await connection.run_sync(_check)


def upgrade(connection: Connection) -> None:
    """Run what is missing inside the caller's transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    found = current(connection)
    _refuse_unknown(found)
    if found != head():
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


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
    connection = create_async_engine(url, poolclass=NullPool).connect()
    try:
        await connection.start()
    except (OSError, DBAPIError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise DatabaseUnreachable((reason and reason.__cause__) or reason or error) from error
    try:
        yield connection
    finally:
        await connection.close()


def _check(connection: Connection) -> None:
    found = current(connection)
    _refuse_unknown(found)
    if found != head():
        raise SchemaOutdated(found, head())


def _refuse_unknown(found: str | None) -> None:
    if found is not None and found not in {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaTooNew(found, head())


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "service.adapters.postgres:migrations")
    config.set_main_option("path_separator", "os")
    return config
