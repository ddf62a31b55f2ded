"""What the settings say of deliveries holds where the engine is put together, and probes know when it has ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from service.adapters.destinations.http.client import POOL, SPARE_CONNECTIONS
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.server.columns import seal_headers, seal_secrets
from service.domain import ids
from service.observability.health import Health
from service.observability.telemetry import open_telemetry
from service.runtime.core import Core, open_core, open_outgoing
from service.runtime.database import DatabaseUrls
from service.runtime.engine import delivering
from service.settings import Settings
from tests.support.databases import named
from tests.support.factories import SECRET as KEY
from tests.support.factories import add_application, add_endpoint
from tests.support.patience import patient
from tests.support.queues import owe
from tests.support.receiver import Receiver, running_receiver

SECRET = "a secret of thirty-two characters and more"
TIMEOUT = 1.5
RETRY = timedelta(hours=3)
MESSAGES = 4
# The engine of one of them is given its database's URL.
TWO_DATABASES = {
    "RELEVO_DATABASE_URL": "",
    **named(eu_1="postgresql://127.0.0.1:1/a", eu_2="postgresql://127.0.0.1:1/b"),
}
TICK = 1 / 256  # seconds: what the time in an id is rounded to


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@asynccontextmanager
async def an_engine(database: str, **said: str) -> AsyncIterator[Health]:
    """The engine of a process with these settings, at work."""
    async with an_engine_and_its_core(database, **said) as (health, _):
        yield health


@asynccontextmanager
async def an_engine_and_its_core(database: str, **said: str) -> AsyncIterator[tuple[Health, Core]]:
    """The same, with what it works on."""
    settings = Settings.from_environment(
        {
            "RELEVO_DATABASE_URL": database,
            "RELEVO_JWT_SECRET": SECRET,
            "RELEVO_SECRET_KEY": SECRET,
            "RELEVO_EGRESS_ALLOW": "127.0.0.0/8",
            "RELEVO_DRAIN": "0",
            **said,
        }
    )
    async with AsyncExitStack() as stack:
        telemetry = await stack.enter_async_context(open_telemetry(role="test", version="0", environ={}))
        health = Health(registry=telemetry.registry)
        outgoing = await stack.enter_async_context(open_outgoing(settings, telemetry))
        core = await stack.enter_async_context(
            open_core(settings, DatabaseUrls.without_pooler(database), outgoing, telemetry, health, role="worker")
        )
        await stack.enter_async_context(delivering(settings, telemetry, health, core))
        yield health, core


async def owe_messages(pool: asyncpg.Pool, url: str) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app, url=url)
    vault = AesVault([SECRET])
    await pool.execute(
        "UPDATE endpoint SET secrets = $1, headers = $2", seal_secrets(vault, [KEY]), seal_headers(vault, {})
    )
    await owe(pool, endpoint, app, MESSAGES)


async def attempts_of(pool: asyncpg.Pool, count: int) -> list[tuple[float, float]]:
    """When each began and ended, in seconds, once there are so many."""
    async with asyncio.timeout(patient(30)):
        while len(rows := await pool.fetch("SELECT id, duration_ms FROM attempt")) < count:  # noqa: ASYNC110  # the engine's doing
            await asyncio.sleep(0.05)
    began = [(ids.time_of(row["id"]).timestamp(), row["duration_ms"] / 1000) for row in rows]
    return [(start, start + took) for start, took in began]


async def test_an_attempt_takes_no_longer_than_its_timeout_and_comes_again_as_the_schedule_says(
    pool: asyncpg.Pool, database: str, receiver: Receiver
) -> None:
    await owe_messages(pool, f"{receiver.url}/silence")
    await pool.execute("UPDATE pending_delivery SET attempts = 1 WHERE message_id = (SELECT max(id) FROM message)")
    schedule = [RETRY.total_seconds(), 2 * RETRY.total_seconds()]
    said = {"RELEVO_ATTEMPT_TIMEOUT": str(TIMEOUT), "RELEVO_RETRY_SCHEDULE": str(schedule)}

    async with an_engine(database, **said):
        attempts = await attempts_of(pool, MESSAGES)
    waits = await pool.fetch("SELECT attempts, due_at - now() AS wait FROM pending_delivery")

    assert all(end - start >= TIMEOUT * 0.9 for start, end in attempts)
    assert min(end - start for start, end in attempts) < 15, "what it is without the setting"
    assert sorted(row["attempts"] for row in waits) == [1] * (MESSAGES - 1) + [2]
    assert all(0.7 < row["wait"] / (row["attempts"] * RETRY) < 1.21 for row in waits)


async def test_claims_are_made_by_the_connection_that_is_for_them(
    pool: asyncpg.Pool, database: str, receiver: Receiver
) -> None:
    await owe_messages(pool, f"{receiver.url}/ok")

    async with an_engine_and_its_core(database) as (_, core):
        await attempts_of(pool, MESSAGES)
        opened = core.database.claims.get_size()
        sorts = await core.database.claims.fetchval("SHOW enable_sort")

    assert opened == 1, "it is opened when it is first used"
    assert sorts == "off"


@pytest.mark.parametrize(
    ("said", "most"),
    [
        ({"RELEVO_PER_ENDPOINT": "2"}, 2),
        ({"RELEVO_CONCURRENCY": "1"}, 1),
        # Once half of the places are taken, an endpoint that is new gets no more.
        ({"RELEVO_CONCURRENCY": "4", **TWO_DATABASES}, 1),
        ({"RELEVO_CONCURRENCY": "4", "RELEVO_SERVES": "eu-1", **TWO_DATABASES}, 2),
    ],
)
async def test_there_are_no_more_attempts_at_once_than_the_settings_say(
    *, pool: asyncpg.Pool, database: str, receiver: Receiver, said: dict[str, str], most: int
) -> None:
    await owe_messages(pool, f"{receiver.url}/slow/1")

    async with an_engine(database, **said):
        attempts = await attempts_of(pool, MESSAGES)

    # Of two that follow one another the second may seem to begin before the first has ended: their times are rounded.
    assert max(sum(start <= at < end - TICK for start, end in attempts) for at, _ in attempts) == most


async def test_there_is_a_connection_for_each_attempt_that_the_settings_allow_at_once(database: str) -> None:
    async with an_engine(database, RELEVO_CONCURRENCY="300") as health:
        connections = health._registry.get_sample_value("relevo_pool_size", {"pool": POOL})

    assert connections == 300 + SPARE_CONNECTIONS


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("engine", "delivery engine"),
        ("ordered destinations", "ordered destinations"),
        ("background tasks", "background tasks"),
    ],
)
async def test_a_process_whose_work_has_ended_is_not_alive(database: str, name: str, task: str) -> None:
    async with an_engine(database) as health:
        alive = await livez(health)
        (working,) = [found for found in asyncio.all_tasks() if found.get_name() == task]
        working.cancel()
        await asyncio.wait({working})
        dead = await livez(health)

    assert alive.status_code == 200
    assert dead.status_code == 503
    assert [check for check, found in dead.json()["checks"].items() if not found["ok"]] == [name]


async def livez(health: Health) -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=health.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://relevo.test") as client:
        return await client.get("/livez?verbose")
