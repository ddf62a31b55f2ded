"""Connections whose other end is silent, slow, or gone."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text

from service.adapters.postgres.server.connections import HotConnection, WatchedConnection
from service.adapters.postgres.server.database import dsn, open_database, unavailable_when_lost
from service.domain.errors import Unavailable
from tests.faults.wire import Wire, open_wire
from tests.support.patience import patient, unhurried

PATIENCE = 0.5
POLL = 0.05
GOING_AWAY = "57P01"
END_OTHERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def wire(database: str) -> AsyncIterator[Wire]:
    parameters = dict(part.split("=") for part in dsn(database).partition("?")[2].split("&"))
    async with open_wire(lambda: f"{parameters['host']}/.s.PGSQL.{parameters['port']}".replace("%2F", "/")) as wire:
        yield wire


def over(wire: Wire, database: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{wire.port}/{dsn(database).partition('?')[0].rpartition('/')[2]}"


@asynccontextmanager
async def hot_pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(
        url, min_size=1, max_size=1, command_timeout=PATIENCE, connection_class=HotConnection
    ) as pool:
        yield pool


async def test_a_hot_statement_without_an_answer_frees_its_place_at_once(wire: Wire, database: str) -> None:
    async with hot_pool(over(wire, database)) as pool:
        await pool.execute("SELECT 1")
        wire.swallow()
        started = time.monotonic()
        with pytest.raises(Unavailable), unavailable_when_lost():
            await pool.fetch("SELECT 1")
        took = time.monotonic() - started
        wire.mend()

        assert await pool.fetchval("SELECT 2") == 2
    assert took < unhurried(2 * PATIENCE), "the time limit once, and not once more for its cancellation"


async def test_a_hot_statement_that_nobody_waits_for_frees_its_place_at_once(wire: Wire, database: str) -> None:
    async with hot_pool(over(wire, database)) as pool:
        hanging = asyncio.create_task(pool.fetchval("SELECT pg_sleep(60)", timeout=60))
        await wire.asked()
        wire.swallow()
        hanging.cancel()
        await asyncio.wait({hanging}, timeout=patient(5))
        wire.mend()

        assert hanging.cancelled()
        assert await pool.fetchval("SELECT 2") == 2


async def test_a_session_without_an_answer_takes_the_silent_ones_of_its_age_with_it(wire: Wire, database: str) -> None:
    url = over(wire, database).replace("postgresql://", "postgresql+asyncpg://")
    async with open_database(url, silence=PATIENCE) as opened:
        async with opened.sessions() as first, opened.sessions() as second:
            for session in (first, second):
                await session.execute(text("SELECT 1"))
        wire.swallow()
        with pytest.raises(Unavailable), unavailable_when_lost():
            async with opened.sessions() as session:
                await session.execute(text("SELECT 1"))
        wire.mend()

        async with opened.sessions() as session:
            assert (await session.execute(text("SELECT 2"))).scalar() == 2


async def test_a_connection_is_lost_when_the_server_has_said_so_though_its_end_has_not_come(
    wire: Wire, database: str
) -> None:
    url = over(wire, database).replace("postgresql://", "postgresql+asyncpg://")
    async with open_database(url) as opened:
        async with opened.sessions() as session:
            await session.execute(text("SELECT 1"))
        await opened.pool.execute("SELECT 1")
        wire.lingering = True
        await end_connections(database, said_over=wire)

        with pytest.raises(Unavailable) as of_the_pool, unavailable_when_lost():
            await opened.pool.fetchval("SELECT 1")
        with pytest.raises(Unavailable) as of_a_session, unavailable_when_lost():
            async with opened.sessions() as session:
                await session.execute(text("SELECT 1"))

    assert isinstance(of_the_pool.value.__cause__, asyncpg.InternalClientError), "the end has come already"
    assert "InternalClientError" in str(of_a_session.value.__cause__)


async def end_connections(database: str, *, said_over: Wire) -> None:
    connection = await asyncpg.connect(dsn(database))
    try:
        ended = await connection.fetchval(END_OTHERS)
        async with asyncio.timeout(patient(5)):
            while said_over.refusals[GOING_AWAY] < ended:  # noqa: ASYNC110  # another process's doing
                await asyncio.sleep(POLL)
        await asyncio.sleep(POLL)  # from the wire to the client's protocol
    finally:
        await connection.close()


async def test_the_server_ends_a_statement_of_the_hot_path_that_hangs(database: str) -> None:
    async with open_database(database) as opened:
        limits = [
            await opened.pool.fetchval(f"SHOW {setting}")
            for setting in ("statement_timeout", "idle_in_transaction_session_timeout")
        ]

    assert limits == ["8s", "1min"]


async def test_a_statement_of_a_session_is_planned_for_its_values_however_often_it_is_sent(database: str) -> None:
    async with open_database(database) as opened, opened.sessions() as session:
        for nth in range(10):
            await session.execute(text("SELECT FROM message WHERE app_id = :app"), {"app": f"app_{nth}"})
        planned = text(
            "SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements WHERE statement ~ '^SELECT FROM'"
        )
        custom, generic = (await session.execute(planned)).one()

    assert (custom, generic) == (10, 0)


async def test_a_connection_is_watched_by_the_network_s_own_means(wire: Wire, database: str) -> None:
    connection = await asyncpg.connect(over(wire, database), connection_class=WatchedConnection)
    try:
        sock = connection._transport.get_extra_info("socket")
        watched = [
            sock.getsockopt(level, option)
            for level, option in (
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            )
        ]
    finally:
        connection.terminate()

    assert watched == [1, 5, 10_000]
