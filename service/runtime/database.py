"""Starts or finds the database of a command, and checks or migrates its schema."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from service.adapters.machine.embedded import EmbeddedUnavailable, open_embedded
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.server import schema
from service.adapters.postgres.server.address import read
from service.adapters.postgres.server.connections import connect
from service.adapters.postgres.server.resealing import Resealing, reseal
from service.settings import Settings

Tell = Callable[[str], None]


class Unreadable(Exception):
    """Some stored values are encrypted with a key that is not configured."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} values are encrypted with a key that is not among RELEVO_SECRET_KEYS, and stay as they are. "
            "Add that key behind the others and run this again."
        )


# Faults that need a change, and faults that may pass by themselves; each text says what to do.
DATABASE_UNUSABLE = (schema.SchemaMismatch, Unreadable)
DATABASE_UNAVAILABLE = (EmbeddedUnavailable, schema.DatabaseUnreachable, schema.SchemaBusy)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrls:
    """The database's URLs. `direct` bypasses a pooler, for LISTEN, session locks and long statements."""

    url: str
    direct: str

    @classmethod
    def without_pooler(cls, url: str) -> Self:
        """A database that is reached without a pooler."""
        return cls(url=url, direct=url)


@asynccontextmanager
async def fitting_database(settings: Settings, *, tell: Tell) -> AsyncIterator[DatabaseUrls]:
    """The database while the block lasts. The schema of an embedded one is migrated, that of another one is checked.
    `tell` gets a sentence about what is waited for. Raises DATABASE_UNUSABLE, DATABASE_UNAVAILABLE."""
    async with _reachable(settings, tell) as urls:
        if settings.embedded:
            await schema.migrate(urls.direct)
        else:
            await schema.check(urls.direct)
        yield urls


async def migrate(settings: Settings, *, tell: Tell) -> str:
    """Migrate to this release's schema and return its revision. Raises DATABASE_UNUSABLE, DATABASE_UNAVAILABLE."""
    async with _reachable(settings, tell) as urls:
        tell("bringing the database to this release's schema ...")
        return await schema.migrate(urls.direct)


async def reencrypt(settings: Settings, *, tell: Tell) -> Resealing:
    """Encrypt all stored secrets again with the first key; servers may run meanwhile. Raises DATABASE_UNUSABLE,
    DATABASE_UNAVAILABLE."""
    async with fitting_database(settings, tell=tell) as urls:
        connection = await connect(urls.direct)
        try:
            return await reseal(connection, AesVault(settings.secret_keys()))
        finally:
            await connection.close()


@asynccontextmanager
async def _reachable(settings: Settings, tell: Tell) -> AsyncIterator[DatabaseUrls]:
    storage = settings.storage
    if storage.database_url is None:
        tell(f"starting PostgreSQL in {storage.data_dir} ...")
        async with open_embedded(storage.data_dir) as url:
            yield DatabaseUrls.without_pooler(url)
        return
    url = storage.database_url.get_secret_value()
    direct = (storage.database_direct_url or storage.database_url).get_secret_value()
    tell(f"connecting to PostgreSQL at {', '.join(map(str, read(direct).hosts))} ...")
    yield DatabaseUrls(url=url, direct=direct)
