"""Relevo behind PgBouncer in transaction mode, as Debian ships it: no prepared statements, no settings of its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.observability.telemetry import Telemetry, open_telemetry
from tests.observability.whole import Whole, running_whole
from tests.stack.pgbouncer import CONNECTIONS, running_pgbouncer
from tests.support.processes import free_port, run, settings
from tests.support.receiver import Receiver, running_receiver

MESSAGES = 60


@pytest.fixture
async def telemetry() -> AsyncIterator[Telemetry]:
    """None that leaves the process."""
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        yield telemetry


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
async def pooled(database: str, telemetry: Telemetry) -> AsyncIterator[Whole]:
    """Relevo with a pooler between it and the test's database."""
    async with (
        running_pgbouncer(database) as through,
        running_whole(telemetry, database=through, RELEVO_DATABASE_DIRECT_URL=database) as whole,
    ):
        yield whole


async def test_everything_works_over_fewer_connections_than_there_are_users_of_them(
    pooled: Whole, receiver: Receiver
) -> None:
    app_id = await pooled.application("pooled", f"{receiver.url}/ok")

    sent = await asyncio.gather(*(pooled.message(app_id) for _ in range(MESSAGES)))
    lists = await asyncio.gather(*(pooled.api.get(f"/api/v1/app/{app_id}/msg") for _ in range(CONNECTIONS * 4)))
    calls = await receiver.wait_for(MESSAGES)

    assert {call.header("webhook-id") for call in calls} == set(sent)
    assert {answer.status_code for answer in lists} == {200}
    assert all(len(answer.json()["data"]) == 50 for answer in lists)


async def test_the_schema_is_brought_up_past_the_pooler(empty_database: str) -> None:
    nobody = f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere"

    status, out, err = await run(
        "migrate", environ=settings(RELEVO_DATABASE_URL=nobody, RELEVO_DATABASE_DIRECT_URL=empty_database)
    )

    assert (status, err) == (0, "")
    assert out.startswith("The database has schema")
