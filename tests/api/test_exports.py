"""Exports whose clients do not stay to the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Message, Receive, Scope, Send

from service.adapters.postgres.server.database import SESSIONS, Database
from service.api.services import Services
from tests.api.conftest import TOKENS
from tests.api.served import served
from tests.support.factories import ORG, add_event_types
from tests.support.patience import patient

WITHIN = patient(20)  # seconds


class Pieces:
    """An application before another one. Keeps the size of each piece of an answer."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.sizes: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def measured(message: Message) -> None:
            self.sizes.append(len(message.get("body", b"")))
            await send(message)

        await self._app(scope, receive, measured)


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


@pytest.fixture
async def much(api: AsyncClient, application: str, postgres: Database) -> None:
    """Of messages and of event types, many times what is read at once."""
    large = "x" * 1_000_000
    for _ in range(20):
        await api.post(f"/app/{application}/msg", json={"eventType": "t", "payload": {"text": large}})
    await add_event_types(postgres.pool, [f"t{number}" for number in range(100, 130)], characters=len(large))


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize(
    ("method", "path", "table"),
    [("GET", "/app/u/msg/export", "message"), ("POST", "/environment/export", "event_type")],
)
async def test_a_client_that_hangs_up_midway_ends_its_export(
    *, api: AsyncClient, sessions: Sessions, postgres: Database, method: str, path: str, table: str
) -> None:
    async with api.stream(method, path) as answer:
        await anext(answer.aiter_raw())
        during = sessions.open
        async with postgres.pool.acquire() as connection, connection.transaction():
            # Whoever went on would wait here for the next page.
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            await answer.aclose()
            await sessions.until_none_is_open()
            in_use = postgres.pools()[SESSIONS].checked_out()

    assert (during, in_use) == (1, 0)


@pytest.mark.usefixtures("much")
async def test_of_event_types_no_more_is_read_than_the_caller_takes_and_no_connection_is_kept(
    api: AsyncClient, postgres: Database
) -> None:
    async with api.stream("POST", "/environment/export") as answer:
        pieces = answer.aiter_raw()
        begun = await anext(pieces)
        async with asyncio.timeout(WITHIN):
            while postgres.pools()[SESSIONS].checked_out():  # noqa: ASYNC110  # a pool sets no event of ours
                await asyncio.sleep(0.01)
        await postgres.pool.execute("DELETE FROM event_type WHERE name > 't110'")
        document = json.loads(begun + b"".join([piece async for piece in pieces]))

    names = [event_type["name"] for event_type in document["eventTypes"]]
    assert names[:2] == ["t100", "t101"]
    assert "t129" not in names, "it was not read before it was deleted"
    assert document.keys() == {"version", "createdAt", "eventTypes", "settings", "connectors"}


@pytest.mark.usefixtures("much")
async def test_event_types_are_written_one_by_one_so_that_little_waits_for_whoever_does_not_read(app: FastAPI) -> None:
    pieces, token = Pieces(app), TOKENS.mint(ORG, now=datetime.now(UTC))
    async with AsyncClient(transport=ASGITransport(app=pieces), base_url="http://relevo.test") as client:
        answer = await client.post("/api/v1/environment/export", headers={"authorization": f"Bearer {token}"})

    assert len(answer.content) > 30 * 1_000_000
    assert max(pieces.sizes) < 1_200_000, "one event type, and what is gathered of small ones"
