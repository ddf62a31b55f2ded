"""Wake-ups and news of attempts find their way again: after an error nobody foresaw, and when a line went silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest
from sqlalchemy import make_url

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.queue.attempt_news import PostgresAttemptNews, PostgresFollower
from service.adapters.postgres.server.database import dsn, unavailable_when_lost
from service.adapters.postgres.server.wakeups import CHANNEL, Wakeups
from service.application.ports.attempt_news import Missed
from service.domain.ids import ApplicationId, AttemptId
from tests.faults.wire import Wire, open_wire
from tests.support.patience import patient
from tests.support.postgres import fresh_database

APPLICATION = ApplicationId("app_1")
ATTEMPT = AttemptId("atmpt_1")
HEARTBEAT = 0.1
RECONNECT = 0.01
PATIENCE = patient(10)


@pytest.fixture
async def wire(database: str) -> AsyncIterator[Wire]:
    """A way to the database's server that can go silent."""
    query = make_url(database).query
    async with open_wire(lambda: f"{query['host']}/.s.PGSQL.{query['port']}") as wire:
        yield wire


def over(wire: Wire, database: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{wire.port}/{make_url(database).database}"


async def woken(wakeups: Wakeups) -> bool:
    await wakeups.deliveries.wait(PATIENCE)
    return wakeups.deliveries._due.is_set()


async def test_a_worker_hears_of_due_deliveries_again_after_its_line_went_silent(database: str, wire: Wire) -> None:
    wakeups = Wakeups(over(wire, database), heartbeat=HEARTBEAT, reconnect=RECONNECT)
    async with wakeups.running(), asyncpg.create_pool(dsn(database), min_size=1, max_size=1) as elsewhere:
        assert await woken(wakeups), "it listens"

        wakeups.deliveries.forget()
        wire.swallow()
        wire.mend()
        assert await woken(wakeups), "it listens on another line"
        wakeups.deliveries.forget()
        await elsewhere.execute(f"NOTIFY {CHANNEL}")

        assert await woken(wakeups)


async def test_wake_ups_outlive_an_error_that_nobody_foresaw(migrated_server: EmbeddedServer) -> None:
    async with fresh_database(migrated_server) as url:
        name = f"{make_url(url).database}_later"
        wakeups = Wakeups(dsn(migrated_server.url(name)), heartbeat=HEARTBEAT, reconnect=RECONNECT)
        await nobody_foresaw(dsn(migrated_server.url(name)))

        async with asyncpg.create_pool(dsn(url), min_size=1, max_size=1) as elsewhere, wakeups.running():
            await elsewhere.execute(f"CREATE DATABASE {name}")
            listens = await woken(wakeups)

        await drop(url, name)
    assert listens


async def test_a_follower_is_told_that_it_missed_something_and_then_of_the_next_attempt(
    database: str, wire: Wire
) -> None:
    here = PostgresAttemptNews(over(wire, database), heartbeat=HEARTBEAT, reconnect=RECONNECT)
    elsewhere = PostgresAttemptNews(dsn(database))

    async with here.running(), elsewhere.running(), here.follow(APPLICATION) as follower:
        wire.swallow()
        wire.mend()
        after_the_silence = await asyncio.wait_for(follower.next(), PATIENCE)
        heard = await told_by(elsewhere, follower)

    assert after_the_silence == Missed(count=None)
    assert set(heard) == {ATTEMPT}


async def test_news_outlive_an_error_that_nobody_foresaw(migrated_server: EmbeddedServer) -> None:
    async with fresh_database(migrated_server) as url:
        name = f"{make_url(url).database}_later"
        news = PostgresAttemptNews(dsn(migrated_server.url(name)), heartbeat=HEARTBEAT, reconnect=RECONNECT)
        await nobody_foresaw(dsn(migrated_server.url(name)))

        async with asyncpg.create_pool(dsn(url), min_size=1, max_size=1) as elsewhere, news.running():
            await elsewhere.execute(f"CREATE DATABASE {name}")
            async with news.follow(APPLICATION) as follower:
                follows = follower.heard_of.is_set()

        await drop(url, name)
    assert follows


async def told_by(news: PostgresAttemptNews, follower: PostgresFollower) -> list[AttemptId]:
    """The first news from `news`, which tells of nothing before it has heard that somebody follows."""
    for _ in range(round(PATIENCE / HEARTBEAT)):
        news.attempted(APPLICATION, ATTEMPT)
        with suppress(TimeoutError):
            heard = await asyncio.wait_for(follower.next(), HEARTBEAT)
            if isinstance(heard, list):
                return heard
    raise AssertionError("nobody heard")


async def nobody_foresaw(dsn: str) -> None:
    """What comes of connecting is none of the errors of a lost database."""
    with pytest.raises(asyncpg.InvalidCatalogNameError), unavailable_when_lost():
        await asyncpg.connect(dsn)


async def drop(url: str, name: str) -> None:
    connection = await asyncpg.connect(dsn(url))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()
