"""Exports whose clients do not stay to the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from service.adapters.postgres.server.database import SESSIONS, Database
from service.api.services import Services
from tests.api.served import served
from tests.support.patience import patient

WITHIN = patient(20)  # seconds


class Sessions:
    """The sessions of a database, and how many of them are open."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = asyncio.Condition()
        self.open = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[AsyncSession]:
        async with self._database.sessions() as session:
            await self._count(1)
            try:
                yield session
            finally:
                await self._count(-1)

    async def until_none_is_open(self) -> None:
        async with asyncio.timeout(WITHIN), self._changed:
            await self._changed.wait_for(lambda: not self.open)

    async def _count(self, change: int) -> None:
        self.open += change
        async with self._changed:
            self._changed.notify_all()


@pytest.fixture
def sessions(postgres: Database) -> Sessions:
    return Sessions(postgres)


@pytest.fixture
def services(services: Services, sessions: Sessions) -> Services:
    return replace(services, sessions=sessions)


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with served(app) as client:
        yield client


@pytest.mark.usefixtures("application")
async def test_a_client_that_hangs_up_midway_ends_its_export(
    api: AsyncClient, sessions: Sessions, postgres: Database
) -> None:
    for _ in range(20):
        await api.post("/app/u/msg", json={"eventType": "t", "payload": {"text": "x" * 1_000_000}})

    async with api.stream("GET", "/app/u/msg/export") as answer:
        await anext(answer.aiter_raw())
        during = sessions.open
        async with postgres.pool.acquire() as connection, connection.transaction():
            # Whoever went on would wait here for the next page.
            await connection.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
            await answer.aclose()
            await sessions.until_none_is_open()
            in_use = postgres.pools()[SESSIONS].checked_out()

    assert (during, in_use) == (1, 0)
