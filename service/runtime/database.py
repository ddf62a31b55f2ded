"""Starts or finds the databases of a command, and checks or migrates their schemas."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Self

import asyncpg

from service.adapters.machine.embedded import EmbeddedUnavailable, open_embedded
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.server import schema
from service.adapters.postgres.server.address import read
from service.adapters.postgres.server.connections import connect
from service.adapters.postgres.server.refusals import STATEMENT_ERRORS, StatementRefused, refused_by
from service.adapters.postgres.server.resealing import Resealing, reseal
from service.domain.errors import Unavailable
from service.settings import Settings

Tell = Callable[[str], None]


def _nobody(_sentence: str) -> None:
    """Whom nothing is told."""


class KeyMissing(Exception):
    """Some stored values are encrypted with a key that is not configured."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} values are encrypted with a key that is not among RELEVO_SECRET_KEYS, and stay as they are. "
            "Add that key behind the others and run this again."
        )


class OneUnusable(Exception):
    """One of several databases needs a change; the text begins with its name."""


class OneUnavailable(Exception):
    """One of several databases cannot be used now; the text begins with its name."""


class Refusing(Exception):
    """The database refuses what it will refuse until something is changed; the text says what."""


class RefusingNow(Exception):
    """The database refuses what it may allow later; the text says what to do."""


# Faults that need a change, and faults that may pass by themselves; each text says what to do.
DATABASE_UNUSABLE = (schema.SchemaMismatch, KeyMissing, Refusing, OneUnusable)
DATABASE_UNAVAILABLE = (EmbeddedUnavailable, schema.DatabaseUnreachable, schema.SchemaBusy, RefusingNow, OneUnavailable)

# The variables that lead to a database.
_EMBEDDED, _ONE, _DIRECT = "RELEVO_DATA_DIR", schema.GIVEN, "RELEVO_DATABASE_DIRECT_URL"
_SEVERAL = "RELEVO_DATABASES"
_OF_SEVERAL = f"`url` in {_SEVERAL}", f"`direct_url` in {_SEVERAL}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrls:
    """The database's URLs. `direct` bypasses a pooler, for LISTEN, session locks and long statements."""

    url: str
    direct: str

    @classmethod
    def without_pooler(cls, url: str) -> Self:
        """A database that is reached without a pooler."""
        return cls(url=url, direct=url)

    @property
    def has_pooler(self) -> bool:
        """Whether `url` is that of a pooler."""
        return self.url != self.direct


@asynccontextmanager
async def fitting_database(
    settings: Settings, *, tell: Tell, warn: Tell = _nobody, directly: bool = False
) -> AsyncIterator[DatabaseUrls]:
    """The database while the block lasts, of several that which is home. The schema of an embedded one is migrated,
    that of another one is checked.

    `tell` gets a sentence about what is waited for, `warn` one for each of several that cannot be reached: whoever
    serves begins without it, unless it is the last. Whoever asks `directly` needs no pooler. Raises DATABASE_UNUSABLE,
    DATABASE_UNAVAILABLE.
    """
    async with _reachable(settings, tell) as urls:
        if settings.embedded:
            await schema.migrate(urls.direct)
        elif settings.several:
            await _check_each(named(settings), served(settings), warn)
        else:
            way, past_it = _ways(settings)
            await _check(
                DatabaseUrls.without_pooler(urls.direct) if directly else urls, past_it if directly else way, past_it
            )
        yield urls


async def migrate(settings: Settings, *, tell: Tell, done: Tell) -> None:
    """Migrate to this release's schema, several databases one after the other; `done` gets a sentence for each. Those
    that are done stay so: after a fault the next run goes on with the rest. Raises DATABASE_UNUSABLE,
    DATABASE_UNAVAILABLE."""
    if not settings.several:
        async with _reachable(settings, tell) as urls:
            tell("bringing the database to this release's schema ...")
            done(f"The database has schema {await schema.migrate(urls.direct, variable=_ways(settings)[1])}.")
        return
    for name, urls in named(settings).items():
        with of_one(name):
            tell(f"bringing {name} to this release's schema ...")
            done(f"The database {name} has schema {await schema.migrate(urls.direct)}.")


async def reencrypt(settings: Settings, *, tell: Tell) -> Resealing:
    """Encrypt all stored secrets again with the first key, in several databases one after the other; servers may run
    meanwhile. Raises DATABASE_UNUSABLE, DATABASE_UNAVAILABLE."""
    if not settings.several:
        async with fitting_database(settings, tell=tell, directly=True) as urls:
            return await _resealed(settings, urls)
    resealed = unreadable = 0
    for name, urls in named(settings).items():
        with of_one(name):
            tell(f"encrypting the secrets in {name} again ...")
            await schema.check(urls.direct)
            outcome = await _resealed(settings, urls)
        resealed, unreadable = resealed + outcome.resealed, unreadable + outcome.unreadable
    return Resealing(resealed=resealed, unreadable=unreadable)


def named(settings: Settings) -> dict[str, DatabaseUrls]:
    """The databases that were named, home first."""
    return {
        one.name: DatabaseUrls(url=one.url.get_secret_value(), direct=(one.direct_url or one.url).get_secret_value())
        for one in settings.storage.databases
    }


def served(settings: Settings) -> dict[str, DatabaseUrls]:
    """Those of them whose tenants this process serves."""
    chosen = settings.storage.serves
    return {name: urls for name, urls in named(settings).items() if not chosen or name in chosen}


@contextmanager
def of_one(name: str) -> Iterator[None]:
    """Say of a database's fault which one has it."""
    try:
        with refusals_told(_SEVERAL):
            yield
    except (OneUnusable, OneUnavailable):
        raise
    except DATABASE_UNUSABLE as error:
        raise OneUnusable(f"{name}: {error}") from error
    except schema.DatabaseUnreachable as error:
        right = f"Is the address of {name} in RELEVO_DATABASES right, and is it running?"
        raise OneUnavailable(f"{name}: The database cannot be reached: {error.why}. {right}") from error
    except DATABASE_UNAVAILABLE as error:
        raise OneUnavailable(f"{name}: {error}") from error


@contextmanager
def refusals_told(variable: str = _ONE) -> Iterator[None]:
    """Turn what a database answers to a statement into Refusing or RefusingNow, and its loss into
    DatabaseUnreachable. `variable` leads to it."""
    try:
        yield
    except (Unavailable, *STATEMENT_ERRORS) as error:
        said = refused_by((isinstance(error, Unavailable) and error.__cause__) or error)
        if not isinstance(said, asyncpg.PostgresError) or isinstance(said, asyncpg.PostgresConnectionError):
            raise schema.DatabaseUnreachable(said, variable) from error
        refused = StatementRefused(said, variable)
        raise (RefusingNow if refused.passing else Refusing)(str(refused)) from error


async def _check_each(databases: Mapping[str, DatabaseUrls], serves: Collection[str], warn: Tell) -> None:
    """Check those that are served, and home, which every process asks."""
    home, *_ = databases
    lost: dict[str, OneUnavailable] = {}
    for name, urls in databases.items():
        if name not in {home, *serves}:
            continue
        try:
            with of_one(name):
                await _check(urls, *_OF_SEVERAL)
        except OneUnavailable as error:
            lost[name] = error
    if lost.keys() >= set(serves):
        raise next(iter(lost.values()))
    for each in lost.values():
        warn(str(each))


def _ways(settings: Settings) -> tuple[str, str]:
    """What leads to the one database, and what past its pooler."""
    if settings.storage.databases:
        return _OF_SEVERAL
    return _ONE, _DIRECT if settings.storage.database_direct_url else _ONE


async def _check(urls: DatabaseUrls, way: str, directly: str) -> None:
    """Check it on both ways, so that a pooler that is down or leads elsewhere is told before anything is started."""
    await schema.check(urls.direct, variable=directly if urls.has_pooler else way)
    if urls.has_pooler:
        try:
            await schema.check(urls.url, variable=way, pooled=True)
        except schema.SchemaMismatch as error:
            raise schema.SchemaElsewhere(error, way, directly) from None


async def _resealed(settings: Settings, urls: DatabaseUrls) -> Resealing:
    connection = await connect(urls.direct)
    try:
        return await reseal(connection, AesVault(settings.secret_keys()))
    finally:
        await connection.close()


@asynccontextmanager
async def _reachable(settings: Settings, tell: Tell) -> AsyncIterator[DatabaseUrls]:
    variable = _EMBEDDED if settings.embedded else _SEVERAL if settings.storage.databases else _ONE
    with refusals_told(variable):
        if settings.embedded:
            data_dir = settings.storage.data_dir
            tell(f"starting PostgreSQL in {data_dir} ...")
            async with open_embedded(data_dir) as url:
                yield DatabaseUrls.without_pooler(url)
        else:
            urls = _given(settings)
            tell(f"connecting to PostgreSQL at {', '.join(map(str, read(urls.direct).hosts))} ...")
            yield urls


def _given(settings: Settings) -> DatabaseUrls:
    """The one database that was given, or home."""
    storage = settings.storage
    if storage.database_url is None:
        return next(iter(named(settings).values()))
    direct = storage.database_direct_url or storage.database_url
    return DatabaseUrls(url=storage.database_url.get_secret_value(), direct=direct.get_secret_value())
