"""The schema's version: migrates a database to this release, and refuses to run on an incompatible one.

A release runs on the schema of a later one, unless that removed something it needs (see the table `needed_revision`).
So the previous release keeps running, and may be restarted, during and after the next one's migration.

Migrations are part of the package, so an installed wheel has them. Each run holds an advisory lock, so that any number
of processes may migrate the same database at the same time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TypeGuard

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from service.adapters.postgres.server.database import engine_on
from service.adapters.postgres.server.refusals import refused_by

_LOCK = 0x52454C45564F  # "RELEVO": the key of the advisory lock

# Short, since all later statements wait behind a migration that waits for a table. Shorter than PostgreSQL's
# `deadlock_timeout`, so that in a deadlock it is the migration that gives up.
LOCK_TIMEOUT_S = 0.5
MAX_TRIES, RETRY_DELAY_S = 60, 1.0

_VERSIONS = Path(__file__).with_name("migrations") / "versions"
_REVISION_CHARACTERS = 4


GIVEN = "RELEVO_DATABASE_URL"  # what leads to a database, unless somebody says otherwise


class DatabaseUnreachable(Exception):
    """The database does not answer, or refuses the connection. `variable` is what leads there."""

    def __init__(self, reason: BaseException, variable: str = GIVEN) -> None:
        self.why = " ".join(str(reason).split()).rstrip(".") or type(reason).__name__
        super().__init__(f"The database cannot be reached: {self.why}. Is {variable} right, and is it running?")


class SchemaBusy(Exception):
    """A table was locked all the time, so nothing was changed."""

    def __init__(self) -> None:
        super().__init__("The schema was not changed, since a table was locked all the time. Run this again later.")


class SchemaMismatch(Exception):
    """This release cannot run on the database's schema."""


class SchemaOutdated(SchemaMismatch):
    """The database has not been migrated to this release yet."""

    def __init__(self, found: str | None, wanted: str) -> None:
        has = f"has schema {found}" if found else "has no schema yet"
        super().__init__(f"The database {has}, this release needs {wanted}. Run `relevo migrate`.")


class EncodingUnfit(SchemaMismatch):
    """A new database that cannot hold every character."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The database has the encoding {encoding}, which cannot hold every name and payload. "
            "Make it with ENCODING 'UTF8' TEMPLATE template0, and run `relevo migrate`."
        )


class SchemaElsewhere(SchemaMismatch):
    """The pooler does not lead to the database that is reached without it."""

    def __init__(self, found: SchemaMismatch, pooler: str, direct: str) -> None:
        super().__init__(
            f"{pooler} does not lead to the same database as {direct}; set both to one. Over {pooler}: {found}"
        )


class SchemaTooNew(SchemaMismatch):
    """The database was migrated by a later release."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"This release is older than the database: it knows schema {known}, the database has {found}. "
            "Run the release that migrated it, or a later one."
        )


async def migrate(url: str, *, variable: str = GIVEN) -> str:
    """Migrate the database at `url` to this release's schema, in one transaction, and return its revision (a later one
    if a later release has migrated it). Running servers are not blocked. Raises SchemaTooNew, EncodingUnfit,
    SchemaBusy, and DatabaseUnreachable with the variable."""
    async with _connected(url, variable) as connection:
        for _ in range(MAX_TRIES):
            try:
                async with connection.begin():
                    return await connection.run_sync(upgrade)
            except DBAPIError as error:
                if not isinstance(refused_by(error), asyncpg.LockNotAvailableError):
                    raise
            await asyncio.sleep(RETRY_DELAY_S)
    raise SchemaBusy


async def check(url: str, *, variable: str = GIVEN, pooled: bool = False) -> None:
    """Raises SchemaOutdated or SchemaTooNew unless this release can run on the database at `url`, DatabaseUnreachable
    with the variable if it does not answer. `pooled` means that it is a PgBouncer's address."""
    async with _connected(url, variable, pooled=pooled) as connection:
        await connection.run_sync(_check)


def upgrade(connection: Connection) -> str:
    """Run the missing migrations in the caller's transaction, and return the revision afterwards."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
    found = current(connection)
    if _is_later(found, connection):
        return found
    if found is None:
        _refuse_an_unfit_encoding(connection)
    if found != head():
        _migrate_by_alembic(connection)
    return head()


def _refuse_an_unfit_encoding(connection: Connection) -> None:
    """Databases of earlier releases are served in whatever encoding they were made."""
    encoding: str = connection.scalars(text("SHOW server_encoding")).one()
    if encoding != "UTF8":
        raise EncodingUnfit(encoding)


def current(connection: Connection) -> str | None:
    """The revision of the database, None when it was never migrated."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def head() -> str:
    """The revision this release needs."""
    return max(_known())


@cache
def _known() -> frozenset[str]:
    """The revisions of this release: each is a file, whose name begins with it. Alembic would say the same, and to load
    it and them takes a tenth of a server's start."""
    return frozenset(path.name[:_REVISION_CHARACTERS] for path in _VERSIONS.glob("[0-9]*.py"))


@asynccontextmanager
async def _connected(url: str, variable: str, *, pooled: bool = False) -> AsyncIterator[AsyncConnection]:
    connection = engine_on(url, poolclass=NullPool, pooled=pooled).connect()
    try:
        await connection.start()
    except (OSError, DBAPIError) as error:
        said = refused_by(error)
        if isinstance(said, asyncpg.QueryCanceledError):
            raise  # it was reached, and did not let the first statement end
        raise DatabaseUnreachable(said, variable) from error
    try:
        yield connection
    finally:
        await connection.close()


def _check(connection: Connection) -> None:
    found = current(connection)
    if not _is_later(found, connection) and found != head():
        raise SchemaOutdated(found, head())


def _is_later(found: str | None, connection: Connection) -> TypeGuard[str]:
    """Whether a later release has migrated it. SchemaTooNew when this release cannot run on that schema."""
    known = _known()
    if found is None or found in known:
        return False
    needed = connection.scalars(text("SELECT revision FROM needed_revision"))
    if not known.issuperset(needed):
        raise SchemaTooNew(found, head())
    return True


def _migrate_by_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "service.adapters.postgres.server:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
