"""Processes and the database are killed while an ordered destination is read: nothing is missing, the order is that of
the commits."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.database import open_fragile_database
from tests.support.patience import patient
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import ordered, senders
from tests.system.senders import Promises

MESSAGES = 300
CLIENTS = 16
BATCH = 7
PATH = "/slow/0.02"
SOON_TAKEN_OVER = {"RELEVO_ATTEMPT_TIMEOUT": "1", "RELEVO_LEASE_MARGIN": "2"}

pytestmark = pytest.mark.timeout(300)


async def test_readers_that_are_killed_are_followed_by_others_without_a_gap_and_in_order(
    database: str, directory: Path, receiver: Receiver, chance: random.Random
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, **SOON_TAKEN_OVER)
    server = RelevoProcess("serve", environ, directory / "serve.log")
    workers = [RelevoProcess("worker", environ, directory / f"{name}.log") for name in ("one", "two")]
    promises = Promises()

    async with running(server, *workers):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        destination = await ordered.add_destination(
            database, customer.app_id, f"{receiver.url}{PATH}", batch_size=BATCH
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(senders.send_all(customer, count=MESSAGES, clients=CLIENTS, promises=promises))
            for nth, count in enumerate(sorted(chance.sample(range(MESSAGES // 8, MESSAGES), 4))):
                await promises.reach(count)
                await workers[nth % 2].kill()
                await workers[nth % 2].start()
            await promises.reach(MESSAGES)
            await server.kill()
            await server.start()
        await ordered.until_caught_up(database, destination, within=patient(60))
        found = await ordered.received(database, destination, receiver, PATH)

    print(f"{found.repeats} repeats of {len(found.stream)}")  # noqa: T201  # a figure
    assert set(found.stream) == set(promises.accepted.values())
    assert len(found.stream) == MESSAGES
    assert found.in_order


async def test_a_database_that_is_killed_leaves_no_gap_and_the_order_as_it_was(
    directory: Path, receiver: Receiver, chance: random.Random
) -> None:
    promises = Promises()
    async with open_fragile_database(directory / "db") as database:
        environ = settings(RELEVO_DATABASE_URL=database.url, **SOON_TAKEN_OVER)
        server = RelevoProcess("serve", environ, directory / "serve.log")
        async with running(server):
            customer = await senders.prepare(environ, f"{receiver.url}/ok")
            destination = await ordered.add_destination(
                database.direct, customer.app_id, f"{receiver.url}{PATH}", batch_size=BATCH
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(senders.send_all(customer, count=MESSAGES, clients=CLIENTS, promises=promises))
                for count in sorted(chance.sample(range(MESSAGES // 8, MESSAGES), 2)):
                    await promises.reach(count)
                    database.kill()
                    await database.start()
            await ordered.until_caught_up(database.direct, destination, within=patient(60))
            found = await ordered.received(database.direct, destination, receiver, PATH)

    print(f"{found.repeats} repeats of {len(found.stream)}")  # noqa: T201  # a figure
    assert set(found.stream) == set(promises.accepted.values())
    assert len(found.stream) == MESSAGES
    assert found.in_order
