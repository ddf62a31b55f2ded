"""Sources of a whole server: what settings and shutdown say of them holds where their reading is put together."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.observability.telemetry import open_telemetry
from tests.observability.whole import Whole, running_whole
from tests.support.patience import patient


@asynccontextmanager
async def reading_from(database: str, host: str, port: int, **said: str) -> AsyncIterator[tuple[Whole, str]]:
    """A server with these settings that has a source at a server of NATS there, and the source's path."""
    async with (
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        running_whole(telemetry, database=database, **said) as whole,
    ):
        nats = {"servers": [f"nats://{host}:{port}"], "stream": "EVENTS"}
        made = await whole.made("/source", {"name": "events", "nats": nats})
        yield whole, f"/api/v1/source/{made['id']}"


async def reason_of(whole: Whole, path: str) -> str:
    """Why the source cannot be read, once that is told."""
    async with asyncio.timeout(patient(10)):
        while not (reason := (await whole.api.get(path)).json()["state"]["reason"]):  # noqa: ASYNC110 - it is looked at
            await asyncio.sleep(0.02)
    return str(reason)


async def test_a_source_calls_nothing_that_the_settings_do_not_allow(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inner:
        inner.setblocking(False)
        async with reading_from(database, "localhost", inner.getsockname()[1], RELEVO_EGRESS_ALLOW="") as (whole, path):
            await reason_of(whole, path)

        with pytest.raises(BlockingIOError):
            inner.accept()


async def test_a_server_that_is_told_to_leave_takes_no_more_from_sources(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    async with reading_from(database, "127.0.0.1", port) as (whole, path):
        await reason_of(whole, path)
        reading = [task for task in asyncio.all_tasks() if task.get_name().startswith("source")]

        whole.health.draining()
        ended, going_on = await asyncio.wait(reading, timeout=patient(10))

    assert (len(ended), len(going_on)) == (2, 0)
