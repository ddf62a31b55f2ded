"""A server is ready only while its intake takes messages, as the composition root wires it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from service.adapters.postgres.queue.intake import MAX_BATCH_ROWS, MAX_QUEUED_MESSAGES
from service.adapters.postgres.server.database import dsn
from service.domain.messages import Reception
from service.observability.health import Health
from service.observability.telemetry import open_telemetry
from service.runtime.database import DatabaseUrls
from service.runtime.services import open_services
from service.settings import Settings
from tests.support.factories import new_message
from tests.support.patience import patient
from tests.support.processes import settings

pytestmark = pytest.mark.timeout(120)


async def test_a_server_whose_intake_is_full_is_not_ready(database: str) -> None:
    configured = Settings.from_environment(settings(RELEVO_DATABASE_URL=database))
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        health = Health(registry=telemetry.registry)
        async with open_services(configured, DatabaseUrls.without_pooler(database), telemetry, health) as services:
            before = health.ready()["intake"]
            async with nobody_gets_on(database):
                sent: list[asyncio.Task[Reception]] = []
                for count in (MAX_QUEUED_MESSAGES + 8 * MAX_BATCH_ROWS, 8 * MAX_BATCH_ROWS):
                    more = [asyncio.create_task(services.intake.accept(new_message("nobody"))) for _ in range(count)]
                    sent += more
                    await asyncio.wait(more, timeout=patient(20), return_when=asyncio.FIRST_COMPLETED)
                full = health.ready()["intake"]
            await asyncio.gather(*sent, return_exceptions=True)
            afterwards = health.ready()["intake"]

    assert (before.ok, full.ok, afterwards.ok) == (True, False, True)
    assert full.detail == "100% full"


@asynccontextmanager
async def nobody_gets_on(database: str) -> AsyncIterator[None]:
    """No batch can be committed while the block lasts."""
    connection = await asyncpg.connect(dsn(database))
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE application IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()
