"""Background tasks are killed half way: what they are about is covered, each message once."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from svix.api import BulkReplayIn

from service.adapters.machine.clock import new_id
from service.adapters.machine.embedded import open_embedded
from service.adapters.postgres.server.database import open_database
from service.domain import ids
from service.domain.deliveries import Status
from service.observability.telemetry import open_telemetry
from tests.support.operations import a_runner, all_steps
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders

KILLS = 3
MESSAGES = 2_400

RUNNING = "SELECT status = 'running' FROM background_task"
REACHED = "SELECT (data->>'messagesSent')::int FROM background_task"
# A batch has a thousand messages, and two moments: that it is claimed, and that it is kept, with all that it did.
MOMENTS = 6
HOLDABLE = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(
        TG_RELID::int, (OLD.data->>'messagesSent')::int / 1000 * 2 + (OLD.data <> NEW.data)::int
    );
    RETURN NEW;
END $$;
CREATE TRIGGER hold BEFORE UPDATE ON background_task FOR EACH ROW
WHEN (OLD.data <> NEW.data OR OLD.lease IS DISTINCT FROM NEW.lease) EXECUTE FUNCTION hold();
"""
HOLD = "SELECT pg_advisory_lock('background_task'::regclass::oid::int, $1)"
LET_GO = "SELECT pg_advisory_unlock('background_task'::regclass::oid::int, $1)"
IS_HELD = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 'background_task'::regclass
               AND objid = $1::int AND NOT granted)
"""
MANUAL = "SELECT count(*) FROM attempt WHERE trigger = 1"
COVERED = "SELECT count(DISTINCT message_id) FROM attempt WHERE trigger = 1"

pytestmark = pytest.mark.timeout(300)


async def test_a_replay_whose_server_is_killed_again_and_again_makes_one_attempt_for_each_message(
    directory: Path, receiver: Receiver, chance: random.Random
) -> None:
    environ = settings(RELEVO_DATA_DIR=str(directory / "data"))
    server = RelevoProcess("serve", environ, directory / "serve.log")

    async with open_embedded(directory / "data") as database, running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        await delivered_before(database, count=MESSAGES, status=Status.SUCCESS)
        async with senders.opened(customer.url, customer.token) as sdk:
            endpoint = (await sdk.endpoint.list(customer.app_id)).data[0].id
            moments = sorted(chance.sample(range(MOMENTS), KILLS))
            async with held_at(database, moments) as reached:
                task = await sdk.endpoint.bulk_replay(
                    customer.app_id, endpoint, BulkReplayIn(since=datetime.now(UTC) - timedelta(days=1))
                )
                for moment in moments:
                    async with reached(moment):
                        await server.kill()
                        await server.start()
                    await end_leases(database)
            await until_it_reached(database, MESSAGES)
            await audit.until_nothing_is_owed(database, within=patient(120))
            finished = await sdk.background_task.get(task.id)

        assert (finished.status, finished.data) == ("finished", {"messagesSent": MESSAGES})
        assert await audit.ask(database, COVERED) == MESSAGES
        assert await audit.ask(database, MANUAL) == MESSAGES


async def test_a_recovery_that_is_canceled_mid_batch_owes_each_message_once(
    database: str, chance: random.Random
) -> None:
    async with (
        open_database(database) as postgres,
        open_telemetry(role="test", version="0", environ={}) as telemetry,
    ):
        await an_endpoint_with_a_task(database)
        await delivered_before(database, count=3000, status=Status.FAIL)
        canceled = 0
        while await audit.ask(database, RUNNING):
            runner = a_runner(postgres, telemetry, steps=all_steps(size=25))
            async with runner.running() as loop:
                if canceled < KILLS:
                    await until_it_reached(database, canceled * 400)
                    await asyncio.sleep(chance.uniform(0, 0.02))
                    loop.cancel()
                    canceled += 1
                else:
                    await until_it_reached(database, 3000)
            await end_leases(database)

    assert canceled == KILLS
    assert await audit.ask(database, REACHED) == 3000
    assert await audit.ask(database, "SELECT count(*) FROM pending_delivery") == 3000
    assert await audit.ask(database, "SELECT count(DISTINCT message_id) FROM pending_delivery") == 3000


async def delivered_before(url: str, *, count: int, status: Status) -> None:
    """Messages of the one application, each attempted once and settled that way."""
    start = datetime.now(UTC) - timedelta(hours=1)
    names = [new_id(ids.MESSAGE, at=start + timedelta(milliseconds=number)) for number in range(count)]
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await connection.execute(
            "INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)"
            " SELECT name, org_id, app_id, 't', '{}', now() + interval '1 day', ''"
            " FROM endpoint CROSS JOIN unnest($1::text[]) AS name",
            names,
        )
        await connection.execute(
            "INSERT INTO settled_delivery SELECT m.id, e.id, m.org_id, m.app_id, $1, 1 FROM message m, endpoint e",
            status,
        )
    finally:
        await connection.close()


async def an_endpoint_with_a_task(url: str) -> None:
    """An endpoint, and the task to recover what it was sent in the last day."""
    now, app, endpoint = datetime.now(UTC), new_id(ids.APPLICATION), new_id(ids.ENDPOINT)
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await connection.execute("INSERT INTO application VALUES ($1, 'org', NULL, '', NULL, '{}', now(), now())", app)
        await connection.execute(
            "INSERT INTO endpoint (id, org_id, app_id, url, description, version, disabled, metadata, secrets, headers,"
            " created_at, updated_at) VALUES ($1, 'org', $2, '', '', 1, false, '{}', '', '', now(), now())",
            endpoint,
            app,
        )
        await connection.execute(
            "INSERT INTO background_task VALUES ('qtask_1', 'org', $1, 'endpoint.recover', 'running',"
            " jsonb_build_object('endpoint_id', $2::text, 'since', $3::text, 'until', $4::text, 'wanted',"
            ' \'{"statuses": [2], "event_types": null, "channel": null, "tag": null,'
            " \"status_code_class\": null}'::jsonb), '', '{\"messagesSent\": 0}', 0, now(), NULL, now(), now())",
            app,
            endpoint,
            ids.lowest(ids.MESSAGE, now - timedelta(days=1)),
            ids.highest(ids.MESSAGE, now),
        )
    finally:
        await connection.close()


async def until_it_reached(url: str, count: int) -> None:
    """Until the task has come so far."""
    async with asyncio.timeout(patient(60)):
        while int(str(await audit.ask(url, REACHED))) < count:  # noqa: ASYNC110  # the runner's doing
            await asyncio.sleep(0.01)


@asynccontextmanager
async def held_at(
    url: str, moments: Sequence[int]
) -> AsyncIterator[Callable[[int], AbstractAsyncContextManager[None]]]:
    """Hold the one task at these of its moments. What this gives waits until it has come to one, and lets it go on at
    the end of the block."""
    connection = await asyncpg.connect(asyncpg_dsn(url))

    @asynccontextmanager
    async def reached(moment: int) -> AsyncIterator[None]:
        async with asyncio.timeout(patient(60)):
            while not await connection.fetchval(IS_HELD, moment):  # noqa: ASYNC110  # nobody tells who waits for a lock
                await asyncio.sleep(0.01)
        yield
        await connection.execute(LET_GO, moment)

    try:
        await connection.execute(HOLDABLE)
        for moment in moments:
            await connection.execute(HOLD, moment)
        yield reached
    finally:
        await connection.close()


async def end_leases(url: str) -> None:
    """Let the time of every lease be over."""
    await audit.ask(url, "UPDATE background_task SET due_at = now() WHERE status = 'running'")
    await audit.ask(url, "UPDATE pending_delivery SET due_at = now() WHERE lease IS NOT NULL")
