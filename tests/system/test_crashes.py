"""Processes are killed while messages come in: what was promised is kept."""

import asyncio
import random
from pathlib import Path

import pytest

from service.adapters.machine.embedded import open_embedded
from tests.support.patience import patient
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Promises

MESSAGES = 400
CLIENTS = 16
KILLS = 3
SOON_TAKEN_OVER = {"RELEVO_ATTEMPT_TIMEOUT": "1", "RELEVO_LEASE_MARGIN": "2"}

pytestmark = pytest.mark.timeout(300)


async def test_a_server_that_is_killed_again_and_again_loses_nothing_it_accepted(
    directory: Path, receiver: Receiver, chance: random.Random
) -> None:
    environ = settings(RELEVO_DATA_DIR=str(directory / "data"), **SOON_TAKEN_OVER)
    server = RelevoProcess("serve", environ, directory / "serve.log")
    promises = Promises()

    async with open_embedded(directory / "data") as database, running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        async with audit.auditing(database) as findings, asyncio.TaskGroup() as group:
            group.create_task(senders.send_all(customer, count=MESSAGES, clients=CLIENTS, promises=promises))
            for count in sorted(chance.sample(range(1, MESSAGES), KILLS)):
                await promises.reach(count)
                await server.kill()
                await server.start()
        await audit.until_nothing_is_owed(database, within=patient(60))

        assert len(promises.accepted) == MESSAGES
        assert await audit.ask(database, "SELECT count(*) FROM message") == MESSAGES
    assert findings.looks > 0
    assert findings.forgotten == 0
    assert_kept(promises, receiver, customer.secret)


async def test_work_of_a_killed_worker_is_taken_over_by_the_others(
    database: str, directory: Path, receiver: Receiver, chance: random.Random
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, **SOON_TAKEN_OVER)
    # A server with few places leaves work to the workers.
    server = RelevoProcess("serve", {**environ, "RELEVO_CONCURRENCY": "2"}, directory / "serve.log")
    doomed, survivor = (RelevoProcess("worker", environ, directory / f"{name}.log") for name in ("doomed", "survivor"))
    promises = Promises()

    async with running(server, doomed, survivor):
        customer = await senders.prepare(environ, f"{receiver.url}/slow/0.05")
        async with audit.auditing(database) as findings, asyncio.TaskGroup() as group:
            group.create_task(senders.send_all(customer, count=MESSAGES, clients=CLIENTS, promises=promises))
            await promises.reach(chance.randrange(MESSAGES // 4, MESSAGES // 2))
            await doomed.kill()
        await audit.until_nothing_is_owed(database, within=patient(60))

        assert [await process.stop() for process in (server, survivor)] == [0, 0]
    assert findings.forgotten == 0
    assert promises.refused == 0
    assert_kept(promises, receiver, customer.secret)
    for process in (server, doomed, survivor):
        assert process.events("delivery.attempted"), "each took its share"


def assert_kept(promises: Promises, receiver: Receiver, secret: str) -> None:
    """What was accepted arrived, signed, and nothing else did."""
    received = [call.header("webhook-id") for call in receiver.calls]
    print(f"{len(received) - len(set(received))} duplicates, {promises.refused} requests repeated")  # noqa: T201  # a figure

    assert set(received) == set(promises.accepted.values())
    for call in receiver.calls:
        call.verify(secret)
