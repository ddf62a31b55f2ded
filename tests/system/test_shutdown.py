"""SIGTERM: a process that is told to leave does so in good order and in time."""

import asyncio
import signal
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.api.raw_callers import calling
from tests.faults.wire import open_wire
from tests.support.patience import patient, unhurried
from tests.support.processes import RelevoProcess, command, environment, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Promises
from tests.system.test_serving import begin

SOON = 20.0  # seconds: the drain's ten, and time to flush
IN_TIME = 35.0  # seconds: of the 60 in deploy/kubernetes, without the pause before and the drain, which is shorter here
UNSPENT = "SELECT count(*) FROM pending_delivery WHERE due_at <= now() AND attempts = 0"
# What uvicorn logs.
WAITS_FOR_REQUESTS = "Waiting for connections to close. (CTRL+C to force quit)"
GIVES_THEM_UP = "Cancel 1 running task(s), timeout graceful shutdown exceeded"
LEASED = "SELECT count(*) FROM pending_delivery WHERE lease IS NOT NULL"

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("role", ["serve", "worker"])
async def test_an_idle_process_leaves_at_once_with_status_0(database: str, directory: Path, role: str) -> None:
    process = RelevoProcess(role, settings(RELEVO_DATABASE_URL=database), directory / "log")

    async with running(process):
        started = time.monotonic()
        status = await process.stop()

    assert status == 0
    assert time.monotonic() - started < unhurried(5)


@pytest.mark.parametrize("role", ["serve", "worker"])
async def test_a_process_that_is_told_to_leave_again_and_again_leaves_with_status_0(
    database: str, directory: Path, role: str
) -> None:
    process = RelevoProcess(role, settings(RELEVO_DATABASE_URL=database), directory / "log")

    async with running(process):
        leaving = asyncio.create_task(process.stop())
        while not leaving.done():
            with suppress(ProcessLookupError):
                process.send(signal.SIGTERM)
            await asyncio.sleep(0.001)

    assert await leaving == 0


async def test_a_server_that_leaves_while_messages_come_in_keeps_what_it_promised(
    database: str, directory: Path, receiver: Receiver
) -> None:
    server = RelevoProcess("serve", environ := settings(RELEVO_DATABASE_URL=database), directory / "log")
    promises = Promises()

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        async with audit.auditing(database) as findings, asyncio.TaskGroup() as group:
            group.create_task(senders.send_all(customer, count=300, clients=16, promises=promises))
            await promises.reach(100)
            started = time.monotonic()
            status = await server.stop()
            took = time.monotonic() - started
            assert await audit.ask(database, LEASED) == 0
            await server.start()
        await audit.until_nothing_is_owed(database, within=patient(30))

    assert status == 0
    assert took < unhurried(SOON)
    assert findings.forgotten == 0
    received = [call.header("webhook-id") for call in receiver.calls]
    assert sorted(map(str, received)) == sorted(promises.accepted.values()), "a server that drains sends nothing twice"


async def test_what_could_not_be_finished_in_time_is_given_back_at_once(
    database: str, directory: Path, receiver: Receiver
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_ATTEMPT_TIMEOUT="60", RELEVO_DRAIN="1")
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server), calling(int(environ["RELEVO_PORT"])) as caller:
        customer = await senders.prepare(environ, f"{receiver.url}/silence")
        await senders.send_all(customer, count=5, clients=5, promises=Promises())
        await receiver.wait_for(5)
        await begin(caller, environ)
        started = time.monotonic()
        status = await server.stop()
        took = time.monotonic() - started

    assert status == 0
    assert took < unhurried(SOON)
    ((waited,), (gave_up,)) = map(server.events, (WAITS_FOR_REQUESTS, GIVES_THEM_UP))
    assert 0.9 < (time_of(gave_up) - time_of(waited)).total_seconds() < 9, "the default is ten"
    assert await audit.ask(database, LEASED) == 0
    assert await audit.ask(database, UNSPENT) == 5


def time_of(event: dict[str, object]) -> datetime:
    return datetime.fromisoformat(str(event["timestamp"]))


@pytest.mark.parametrize(("role", "expected"), [("serve", 0), ("worker", 0), ("migrate", 130)])
async def test_told_to_leave_while_it_starts_only_work_that_was_not_done_counts_as_failed(
    role: str, expected: int
) -> None:
    async with silent_database() as (url, asked):
        process = await asyncio.create_subprocess_exec(
            *command(role), env=environment(settings(RELEVO_DATABASE_URL=url)), stderr=PIPE
        )
        await asked.wait()
        process.send_signal(signal.SIGTERM)
        _, complaints = await process.communicate()

    assert process.returncode == expected
    assert complaints == b""


@pytest.mark.parametrize("role", ["serve", "worker"])
async def test_a_process_whose_database_hangs_leaves_in_time_all_the_same(
    database: str, directory: Path, receiver: Receiver, role: str
) -> None:
    socket = socket_of(database)
    async with open_wire(lambda: socket) as wire:
        through_wire = make_url(database).set(host="127.0.0.1", port=wire.port, query={})
        environ = settings(RELEVO_DATABASE_URL=through_wire.render_as_string(), RELEVO_DRAIN="1")
        server, worker = (RelevoProcess(name, environ, directory / f"{name}.log") for name in ("serve", "worker"))
        async with running(server, worker):
            customer = await senders.prepare(environ, f"{receiver.url}/slow/0.2")
            sending = asyncio.create_task(senders.send_all(customer, count=500, clients=16, promises=Promises()))
            await receiver.wait_for(50)

            wire.swallow()
            await wire.muted()
            started = time.monotonic()
            status = await {"serve": server, "worker": worker}[role].stop()
            took = time.monotonic() - started
            sending.cancel()
            await asyncio.wait({sending})

    assert status == 0
    assert took < unhurried(IN_TIME)


@asynccontextmanager
async def silent_database() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The URL of a database that never answers, and whether it was asked."""
    asked = asyncio.Event()

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(stay_silent, "127.0.0.1", 0)
    try:
        yield f"postgresql://relevo@127.0.0.1:{server.sockets[0].getsockname()[1]}/relevo", asked
    finally:
        server.close()


def socket_of(database: str) -> str:
    query = make_url(database).query
    return f"{query['host']}/.s.PGSQL.{query['port']}"
