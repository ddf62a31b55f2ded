"""An organisation moves to another database: with all it has, while it is served, and whole whatever is killed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.moves.belongings import STAYING
from service.adapters.postgres.server import tables
from tests.support import postgres
from tests.support.databases import asking, bearer, homes, named
from tests.support.processes import run, settings
from tests.support.receiver import Receiver, running_receiver
from tests.system.test_databases import over

ORG = "org_mover"
TASKS = ("background_task",)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def other(migrated_server: EmbeddedServer) -> AsyncIterator[str]:
    """The URL of a second migrated database."""
    async with postgres.fresh_database(migrated_server) as url:
        yield url


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


async def everything(url: str) -> Mapping[str, list[str]]:
    """Every row of every table that may have something of an organisation's, as text."""
    async with asking(url) as connection:
        return {
            name: [row[0] for row in await connection.fetch(f'SELECT t::text FROM "{name}" t ORDER BY 1')]
            for name in tables.metadata.tables
            if name not in STAYING
        }


async def test_all_that_an_organisation_has_moves_and_is_served_there(
    database: str, other: str, receiver: Receiver
) -> None:
    setting = named(eu_1=database, eu_2=other)
    empty = await everything(other)
    async with over(**setting) as whole:
        api = AsyncClient(transport=whole.api._transport, base_url="http://x/api/v1", headers=bearer(ORG))
        app_id = (await api.post("/app", json={"name": "x", "uid": "mine"})).json()["id"]
        await api.post(f"/app/{app_id}/endpoint", json={"url": f"{receiver.url}/ok"})
        for n in range(5):
            await api.post(f"/app/{app_id}/msg", json={"eventType": "a.b", "eventId": f"e{n}", "payload": {"n": n}}, headers={"idempotency-key": f"k{n}"})
        await receiver.wait_for(5)
        await asyncio.sleep(0.5)
        before = await everything(database)
        moved = await run("tenants", "move", ORG, "eu-2", environ=settings(**setting))
        print(moved)
        after = await everything(other)
        left = await everything(database)
        again = await api.post(f"/app/{app_id}/msg", json={"eventType": "a.b", "eventId": "e1", "payload": {"n": 1}}, headers={"idempotency-key": "k1"})
        print(again.status_code, again.json())

    assert moved[0] == 0
    assert after == before
    assert left == empty
    assert await homes(database) == {ORG: "eu-2"}
