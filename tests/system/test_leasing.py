"""Deliveries that are born leased, where it is wired: who leases, and what a kill in each gap leaves to others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url
from svix.api import MessageIn

from tests.faults.wire import Wire, open_wire
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Customer, Promises

SOON_TAKEN_OVER = {"RELEVO_ATTEMPT_TIMEOUT": "1", "RELEVO_LEASE_MARGIN": "2"}
# Each delivery as it was born: leased or not.
RECORD = """
CREATE TABLE born (leased boolean NOT NULL);
CREATE FUNCTION record_birth() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO born VALUES (NEW.lease IS NOT NULL); RETURN NEW; END';
CREATE TRIGGER record_birth AFTER INSERT ON pending_delivery FOR EACH ROW EXECUTE FUNCTION record_birth();
"""
# An accept waits in the database for whoever has the lock.
HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
CREATE TRIGGER hold AFTER INSERT ON pending_delivery FOR EACH STATEMENT EXECUTE FUNCTION hold();
"""
HELD = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
"""
UNLEASED = "SELECT count(*) FROM born WHERE NOT leased"
LEASED = "SELECT count(*) FROM pending_delivery WHERE lease IS NOT NULL"

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server whose wire to the database is in our hands, and one that would take over from it."""

    server: RelevoProcess
    other: RelevoProcess
    wire: Wire
    customer: Customer


@asynccontextmanager
async def a_site(database: str, directory: Path, url: str, **said: str) -> AsyncIterator[Site]:
    """The server has delivered one message; the other is not started."""
    socket = f"{make_url(database).query['host']}/.s.PGSQL.{make_url(database).query['port']}"
    async with open_wire(lambda: socket) as wire:
        through_wire = make_url(database).set(host="127.0.0.1", port=wire.port, query={})
        given = settings(RELEVO_DATABASE_URL=through_wire.render_as_string(), **SOON_TAKEN_OVER, **said)
        server = RelevoProcess("serve", given, directory / "serve.log")
        other = RelevoProcess("worker", {**given, "RELEVO_DATABASE_URL": database}, directory / "worker.log")
        async with running(server):
            customer = await senders.prepare(given, url)
            yield Site(server=server, other=other, wire=wire, customer=customer)


async def send(customer: Customer, count: int) -> None:
    """Send so many, one after the other."""
    async with senders.opened(customer.url, customer.token) as sdk:
        for _ in range(count):
            await sdk.message.create(customer.app_id, MessageIn(event_type=senders.EVENT_TYPE, payload={}))


async def test_a_server_leases_to_itself_what_it_accepts_and_has_room_for(
    database: str, directory: Path, receiver: Receiver
) -> None:
    server = RelevoProcess("serve", environ := settings(RELEVO_DATABASE_URL=database), directory / "log")

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        await send(customer, 1)
        await receiver.wait_for(1)  # so the engine has looked for a backlog
        await record_births(database)
        for count in range(2, 12):
            await send(customer, 1)
            await receiver.wait_for(count)
        unleased = await counted(database, UNLEASED)
        await audit.until_nothing_is_owed(database, within=patient(30))

    assert unleased == 0
    assert len({call.header("webhook-id") for call in receiver.calls}) == len(receiver.calls) == 11


async def test_a_server_leases_no_more_to_itself_than_it_has_places_and_a_worker_takes_the_rest(
    database: str, directory: Path, receiver: Receiver
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_PER_ENDPOINT="2", RELEVO_ATTEMPT_TIMEOUT="60")
    server, worker = (RelevoProcess(role, environ, directory / f"{role}.log") for role in ("serve", "worker"))

    async with running(server, worker):
        customer = await senders.prepare(environ, f"{receiver.url}/slow/3")
        await record_births(database)
        await senders.send_all(customer, count=12, clients=1, promises=Promises())
        unleased = await counted(database, UNLEASED)
        await receiver.wait_for(12)
        await audit.until_nothing_is_owed(database, within=patient(60))
        took = [len(process.events("delivery.attempted")) for process in (server, worker)]

    assert unleased > 0
    assert min(took) > 0
    assert sum(took) == 12


async def test_a_server_that_is_killed_between_commit_and_hand_over_leaves_a_lease_that_ends(
    database: str, directory: Path, receiver: Receiver
) -> None:
    async with a_site(database, directory, f"{receiver.url}/ok") as site:
        await send(site.customer, 1)
        await receiver.wait_for(1)
        await audit.until_nothing_is_owed(database, within=patient(30))
        async with held(database):
            sending = asyncio.create_task(send(site.customer, 1))
            await until(database, HELD, 1)
            site.wire.swallow()
        await until(database, LEASED, 1)
        await site.server.kill()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        called = len(receiver.calls)
        async with running(site.other):
            await receiver.wait_for(2)
            await audit.until_nothing_is_owed(database, within=patient(30))

    assert called == 1
    assert len({call.header("webhook-id") for call in receiver.calls}) == len(receiver.calls) == 2


async def test_a_server_that_is_killed_before_it_settles_leaves_one_duplicate_for_each_attempt(
    database: str, directory: Path, receiver: Receiver
) -> None:
    async with a_site(database, directory, f"{receiver.url}/slow/0.5") as site:
        await send(site.customer, 1)
        await receiver.wait_for(1)
        await audit.until_nothing_is_owed(database, within=patient(30))
        await send(site.customer, 3)
        site.wire.swallow()
        await receiver.wait_for(4)
        await site.wire.muted()
        await site.server.kill()
        async with running(site.other):
            await audit.until_nothing_is_owed(database, within=patient(30))

    calls = [call.header("webhook-id") for call in receiver.calls]
    assert len(set(calls)) == 4
    assert 4 < len(calls) <= 7


async def test_a_server_that_is_killed_with_deliveries_held_loses_none_of_them(
    database: str, directory: Path, receiver: Receiver
) -> None:
    async with a_site(database, directory, f"{receiver.url}/slow/0.05", RELEVO_PER_ENDPOINT="1") as site:
        promises = Promises()
        await senders.send_all(site.customer, count=40, clients=8, promises=promises)
        await until(database, LEASED, 2)
        await site.server.kill()
        left = await counted(database, LEASED)
        async with running(site.other):
            await audit.until_nothing_is_owed(database, within=patient(60))

    assert left > 1
    assert {call.header("webhook-id") for call in receiver.calls} == set(promises.accepted.values())


@asynccontextmanager
async def held(database: str) -> AsyncIterator[None]:
    """While the block lasts, what is accepted is not committed."""
    connection = await asyncpg.connect(asyncpg_dsn(database))
    try:
        await connection.execute(HOLD)
        await connection.execute("SELECT pg_advisory_lock(1)")
        yield
    finally:
        await connection.close()


async def record_births(database: str) -> None:
    """From now on, `born` says of each delivery whether it was born leased."""
    connection = await asyncpg.connect(asyncpg_dsn(database))
    try:
        await connection.execute(RECORD)
    finally:
        await connection.close()


async def counted(database: str, sql: str) -> int:
    """What the database counts."""
    found = await audit.ask(database, sql)
    assert isinstance(found, int)
    return found


async def until(database: str, sql: str, at_least: int) -> None:
    """Wait until the database counts so many."""
    async with asyncio.timeout(patient(30)):
        while await counted(database, sql) < at_least:  # noqa: ASYNC110  # another process's doing
            await asyncio.sleep(0.01)
