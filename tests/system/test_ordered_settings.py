"""What the settings say of deliveries holds for ordered destinations too, where they are put together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from service.domain.ordered import OrderedDestination
from service.observability.telemetry import open_telemetry
from tests.observability.whole import running_whole
from tests.support.patience import patient, unhurried
from tests.support.postgres import asyncpg_dsn
from tests.support.receiver import Receiver
from tests.system import ordered

RETRY = timedelta(hours=3)


@pytest.fixture
async def rows(database: str) -> AsyncIterator[asyncpg.Connection]:
    """What is in the database."""
    connection = await asyncpg.connect(asyncpg_dsn(database))
    yield connection
    await connection.close()


@asynccontextmanager
async def sending_to(database: str, url: str, **said: str) -> AsyncIterator[OrderedDestination]:
    """A server with these settings, one message, and a destination there that is sent it."""
    async with (
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        running_whole(telemetry, database=database, **said) as whole,
    ):
        app_id = await whole.application("a")
        destination = await ordered.add_destination(database, app_id, url, batch_size=1)
        await whole.message(app_id)
        yield destination


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(patient(20)):
        while not await holds():  # noqa: ASYNC110  # the reader's doing, which sets no event of ours
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("families", "sent"),
    [("svix", ["svix"]), ("webhook", ["webhook"]), ("webhook,svix", ["webhook", "svix"])],
)
async def test_signature_headers_of_batches_are_of_the_families_that_were_named(
    database: str, receiver: Receiver, families: str, sent: list[str]
) -> None:
    async with sending_to(database, f"{receiver.url}/ok", RELEVO_SIGNATURE_HEADERS=families):
        (call,) = await receiver.wait_for(1)

    for part in ("id", "timestamp", "signature"):
        assert [name for name in ("webhook", "svix") if call.header(f"{name}-{part}")] == sent


async def test_a_batch_takes_no_longer_than_the_attempt_timeout_and_comes_again_as_the_schedule_says(
    database: str, receiver: Receiver, rows: asyncpg.Connection
) -> None:
    said = {"RELEVO_ATTEMPT_TIMEOUT": "0.2", "RELEVO_RETRY_SCHEDULE": f"[{RETRY.total_seconds()}]"}
    now = asyncio.get_running_loop().time
    async with sending_to(database, f"{receiver.url}/silence", **said):
        await receiver.wait_for(1)
        began = now()
        await until(lambda: rows.fetchval("SELECT attempts = 1 FROM destination"))
        took = now() - began
        wait = await rows.fetchval("SELECT due_at - now() FROM destination")

    assert took < min(unhurried(1.9), 14), "the default is 15 s, and what tests set otherwise 2 s"
    assert 0.7 < wait / RETRY < 1.21


@pytest.mark.parametrize(("seconds", "status"), [("0.05", "disabled"), ("3600", "enabled")])
async def test_an_ordered_destination_is_disabled_after_that_long(
    *, database: str, receiver: Receiver, rows: asyncpg.Connection, seconds: str, status: str
) -> None:
    said = {"RELEVO_DISABLE_AFTER": seconds, "RELEVO_RETRY_SCHEDULE": "[0.2]"}
    async with sending_to(database, f"{receiver.url}/status/500", **said):
        await until(lambda: rows.fetchval("SELECT attempts > 1 OR status = 'disabled' FROM destination"))

    assert await rows.fetchval("SELECT status FROM destination") == status


@pytest.mark.parametrize(("drain", "seconds", "done"), [("0", 3, False), ("120", 1, True)])
async def test_the_drain_is_how_long_batches_may_take_to_finish(
    *, database: str, receiver: Receiver, rows: asyncpg.Connection, drain: str, seconds: int, done: bool
) -> None:
    said = {"RELEVO_DRAIN": drain, "RELEVO_ATTEMPT_TIMEOUT": "60"}
    async with sending_to(database, f"{receiver.url}/slow/{seconds}", **said) as destination:
        await receiver.wait_for(1)

    assert await rows.fetchval("SELECT position > $1 FROM destination", destination.position) is done
