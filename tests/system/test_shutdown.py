"""SIGTERM: a process that is told to leave does so in good order and in time."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Promises

SOON = 20.0  # seconds: the drain's ten, and time to flush
UNSPENT = "SELECT count(*) FROM pending_delivery WHERE due_at <= now() AND attempts = 0"
LEASED = "SELECT count(*) FROM pending_delivery WHERE lease IS NOT NULL"

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("role", ["serve", "worker"])
async def test_an_idle_process_leaves_at_once_with_status_0(database: str, directory: Path, role: str) -> None:
    process = RelevoProcess(role, settings(RELEVO_DATABASE_URL=database), directory / "log")

    async with running(process):
        started = time.monotonic()
        status = await process.stop()

    assert status == 0
    assert time.monotonic() - started < 5


async def test_a_server_that_leaves_while_messages_come_in_keeps_what_it_promised(
    database: str, directory: Path, receiver: Receiver
) -> None:
    server = RelevoProcess("serve", environ := settings(RELEVO_DATABASE_URL=database), directory / "log")
    promises = Promises()

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        async with audit.auditing(database) as findings, asyncio.TaskGroup() as group:
            group.create_task(senders.send_all(customer, count=1000, clients=16, promises=promises))
            await promises.reach(300)
            started = time.monotonic()
            status = await server.stop()
            took = time.monotonic() - started
            assert await audit.ask(database, LEASED) == 0
            await server.start()
        await audit.until_nothing_is_owed(database, within=30)

    assert status == 0
    assert took < SOON
    assert findings.forgotten == 0
    received = [call.header("webhook-id") for call in receiver.calls]
    assert sorted(map(str, received)) == sorted(promises.accepted.values()), "a server that drains sends nothing twice"


async def test_what_could_not_be_finished_in_time_is_given_back_at_once(
    database: str, directory: Path, receiver: Receiver
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_ATTEMPT_TIMEOUT="60")
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/silence")
        await senders.send_all(customer, count=5, clients=5, promises=Promises())
        await receiver.wait_for(5)
        started = time.monotonic()
        status = await server.stop()
        took = time.monotonic() - started

    assert status == 0
    assert took < SOON
    assert await audit.ask(database, LEASED) == 0
    assert await audit.ask(database, UNSPENT) == 5
