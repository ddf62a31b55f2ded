"""Whoever waits for a connection is measured, in either pool."""

import asyncio
from collections import defaultdict

from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import HOT_CONNECTIONS, POOL_OVERFLOW, POOL_SIZE, open_database
from service.adapters.postgres.server.transaction import Transaction
from tests.support.factories import ORG, VAULT


class Waits:
    """What was measured, by pool."""

    def __init__(self) -> None:
        self.by_pool: dict[str, list[float]] = defaultdict(list)

    def __call__(self, pool: str, seconds: float) -> None:
        self.by_pool[pool].append(seconds)


async def test_every_connection_of_the_hot_path_was_waited_for(database: str) -> None:
    waits = Waits()
    async with open_database(database, waited=waits) as opened:
        held = [await opened.pool.acquire() for _ in range(HOT_CONNECTIONS)]
        waiting = asyncio.create_task(opened.pool.execute("SELECT 1"))
        await asyncio.sleep(0.2)
        for connection in held:
            await opened.pool.release(connection)
        await waiting

    assert len(waits.by_pool["hot"]) == HOT_CONNECTIONS + 1
    assert waits.by_pool["hot"][-1] >= 0.05


async def test_a_session_waits_once_for_its_transaction(database: str) -> None:
    waits = Waits()
    async with open_database(database, waited=waits) as opened, open_unit_of_work(opened.sessions, VAULT) as work:
        await work.applications.get(ORG, "nobody")
        await work.applications.get(ORG, "nobody")

    assert len(waits.by_pool["sessions"]) == 1


async def test_a_session_that_finds_the_pool_empty_waits_for_another_to_end(database: str) -> None:
    waits = Waits()
    async with open_database(database, waited=waits) as opened:
        sessions = [opened.sessions() for _ in range(POOL_SIZE + POOL_OVERFLOW + 1)]
        *held, last = sessions
        for session in held:
            await Transaction(session).configure("search_path TO public")
        waiting = asyncio.create_task(Transaction(last).configure("search_path TO public"))
        await asyncio.sleep(0.2)
        for session in held:
            await session.close()
        await waiting
        await last.close()

    assert len(waits.by_pool["sessions"]) == len(sessions)
    assert waits.by_pool["sessions"][-1] >= 0.05
