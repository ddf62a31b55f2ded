"""Where organisations live, for commands: asked and written over a connection of the command's own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from service.adapters.postgres.repositories.homes import Home, PostgresHomes, move_in
from service.adapters.postgres.server import schema
from service.adapters.postgres.server.database import Database, open_database
from service.application.homes import Homes
from service.domain.ids import OrgId
from service.runtime.database import DatabaseUrls, named, of_one, served
from service.settings import Settings


async def listed(settings: Settings) -> Sequence[Home]:
    """Where every organisation lives. Raises DATABASE_UNUSABLE, DATABASE_UNAVAILABLE."""
    async with _at_home(settings) as home:
        return await PostgresHomes(lambda: home.pool).listed()


async def place(settings: Settings, org_id: OrgId, database: str) -> str:
    """Give a new organisation the database of that name. Returns where it lives, which is elsewhere if it is not new.
    Raises DATABASE_UNUSABLE, DATABASE_UNAVAILABLE."""
    async with _at_home(settings) as home:
        return await _homes(settings, home).place(org_id, database)


async def known_home(settings: Settings, org_id: OrgId) -> str | None:
    """Where the organisation lives; None for one that has nothing anywhere. Raises DATABASE_UNUSABLE,
    DATABASE_UNAVAILABLE."""
    async with _at_home(settings) as home:
        return await _homes(settings, home).known(org_id)


async def database_of(settings: Settings, org_id: OrgId) -> DatabaseUrls:
    """The database in which the organisation lives; a new one is given one, and moves in. Raises DATABASE_UNUSABLE,
    DATABASE_UNAVAILABLE."""
    async with _at_home(settings) as home:
        name = await _homes(settings, home).find_or_give(org_id, among=list(served(settings)))
    async with _fitting(settings, name) as opened:
        await move_in(opened.pool, org_id)
    return named(settings)[name]


def _homes(settings: Settings, home: Database) -> Homes:
    return Homes(PostgresHomes(lambda: home.pool), first=next(iter(named(settings))))


@asynccontextmanager
async def _at_home(settings: Settings) -> AsyncIterator[Database]:
    async with _fitting(settings, next(iter(named(settings)))) as home:
        yield home


@asynccontextmanager
async def _fitting(settings: Settings, name: str) -> AsyncIterator[Database]:
    urls = named(settings)[name]
    with of_one(name):
        await schema.check(urls.direct)
        async with open_database(urls.direct) as opened:
            yield opened
