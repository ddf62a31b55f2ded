"""Background tasks under a lease: whoever lost it changes nothing, and what went wrong comes again later and later."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg
import pytest

from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.postgres.repositories.background_tasks import PostgresTaskQueue
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import Database, open_database
from service.adapters.postgres.server.wakeups import TASK_CHANNEL, Bell
from service.application.ports.unit_of_work import UnitOfWork
from service.domain import ids
from service.domain.background_tasks import BackgroundTask, Progress, TaskClaim, TaskKind
from service.domain.errors import NotFound
from service.domain.ids import TaskId
from service.observability.telemetry import open_telemetry
from tests.support.factories import ORG, VAULT
from tests.support.kept import an_application
from tests.support.operations import a_runner
from tests.support.patience import patient

KIND = TaskKind.RECOVER
ROW = "SELECT status, cursor, data, lease, failures, due_at FROM background_task"
LEASE_ENDS = "UPDATE background_task SET due_at = now()"
PROGRESS = Progress(cursor="further", data={"done": 1})


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Database]:
    async with open_database(database) as opened:
        yield opened


@pytest.fixture
async def queue(pool: asyncpg.Pool) -> PostgresTaskQueue:
    return PostgresTaskQueue(pool, Bell(TASK_CHANNEL))


@pytest.fixture
async def task(postgres: Database) -> BackgroundTask:
    """A task that is due."""
    now = SystemClock().now() - timedelta(seconds=1)
    task = BackgroundTask(
        id=TaskId(new_id(ids.TASK)),
        org_id=ORG,
        app_id=None,
        kind=KIND,
        params={},
        data={},
        created_at=now,
        updated_at=now,
    )
    async with open_unit_of_work(postgres.sessions, VAULT) as work:
        await work.background_tasks.add(task, due_at=now)
    return task


async def claimed(queue: PostgresTaskQueue) -> TaskClaim:
    claim = await queue.claim([KIND])
    assert claim is not None
    return claim


async def keep(postgres: Database, claim: TaskClaim) -> bool:
    now = SystemClock().now()
    async with open_unit_of_work(postgres.sessions, VAULT) as work:
        return await work.background_tasks.keep(claim.task.advanced(PROGRESS, at=now), lease=claim.lease, due_at=now)


@pytest.mark.usefixtures("task")
async def test_one_that_is_due_and_was_not_to_be_had_is_asked_for_again_at_once(pool: asyncpg.Pool) -> None:
    # One that falls due between a claim and the look for the next is the same: due, and not claimed.
    queue = PostgresTaskQueue(pool, Bell(TASK_CHANNEL), poll=patient(3600))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM background_task FOR UPDATE")
        assert await queue.claim([KIND]) is None

    async with asyncio.timeout(patient(1)):
        await queue.wait()
    await claimed(queue)


@pytest.mark.parametrize("what", ["keep", "postpone", "give up"])
async def test_whoever_has_lost_the_lease_changes_nothing(
    pool: asyncpg.Pool, postgres: Database, queue: PostgresTaskQueue, task: BackgroundTask, what: str
) -> None:
    late = await claimed(queue)
    await pool.execute(LEASE_ENDS)
    taken_over = await claimed(queue)
    before = await pool.fetchrow(ROW)

    if what == "keep":
        assert not await keep(postgres, late)
    elif what == "postpone":
        await queue.postpone(late)
    else:
        await queue.give_up(late, task.failed(NotFound(), at=SystemClock().now()))

    assert await pool.fetchrow(ROW) == before
    assert await keep(postgres, taken_over)


async def test_what_a_batch_did_without_its_lease_is_undone(
    pool: asyncpg.Pool, postgres: Database, queue: PostgresTaskQueue, task: BackgroundTask
) -> None:
    begun, taken_over = asyncio.Event(), asyncio.Event()

    async def step(task: BackgroundTask, work: UnitOfWork, *, now: datetime) -> Progress:
        assert now >= task.created_at
        await work.applications.add(an_application())
        begun.set()
        await taken_over.wait()
        return replace(PROGRESS, done=True)

    async with (
        asyncio.timeout(patient(20)),
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        a_runner(postgres, telemetry, steps={KIND: step}, lease=timedelta(hours=1)).running(),
    ):
        await begun.wait()
        await pool.execute(LEASE_ENDS)
        assert (await claimed(queue)).task.id == task.id
        taken_over.set()

    assert await pool.fetchval("SELECT count(*) FROM application") == 0
    assert await pool.fetchval("SELECT status FROM background_task") == "running"


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 1), (1, 2), (2, 4), (5, 32), (8, 256), (9, 300), (40, 300), (100, 300)]
)
async def test_a_batch_that_went_wrong_is_done_again_the_later_the_more_did(
    pool: asyncpg.Pool, queue: PostgresTaskQueue, task: BackgroundTask, failures: int, seconds: int
) -> None:
    await pool.execute("UPDATE background_task SET failures = $1 WHERE id = $2", failures, task.id)

    claim = await claimed(queue)
    before = await pool.fetchval("SELECT now()")

    await queue.postpone(claim)

    assert await pool.fetchval("SELECT failures FROM background_task") == min(failures + 1, 100)
    begun = "SELECT due_at - make_interval(secs => $1) BETWEEN $2 AND now() FROM background_task"
    assert await pool.fetchval(begun, float(seconds), before), "counted from the moment that it was put off"


async def test_a_batch_that_went_well_forgets_the_failures_before_it(
    pool: asyncpg.Pool, postgres: Database, queue: PostgresTaskQueue, task: BackgroundTask
) -> None:
    await pool.execute("UPDATE background_task SET failures = 7 WHERE id = $1", task.id)

    assert await keep(postgres, await claimed(queue))

    assert (await claimed(queue)).failures == 0


async def test_a_claim_takes_one_task_however_few_there_were_when_the_planner_counted(
    postgres: Database, queue: PostgresTaskQueue, task: BackgroundTask
) -> None:
    await postgres.pool.execute("ANALYZE background_task")
    async with open_unit_of_work(postgres.sessions, VAULT) as work:
        for _ in range(3):
            another = replace(task, id=TaskId(new_id(ids.TASK)))
            await work.background_tasks.add(another, due_at=another.created_at)

    await claimed(queue)

    assert await postgres.pool.fetchval("SELECT count(*) FROM background_task WHERE lease IS NOT NULL") == 1
