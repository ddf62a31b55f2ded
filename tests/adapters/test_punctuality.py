"""Nothing waits for the poll: whatever one process makes due, others begin in time. Here the poll never comes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.queue.intake import PostgresIntake
from service.adapters.postgres.repositories.background_tasks import PostgresTaskQueue
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork, open_unit_of_work
from service.adapters.postgres.server.database import Database, dsn, open_database
from service.adapters.postgres.server.wakeups import CHANNEL, POLL_INTERVAL_S, Bell, Wakeups
from service.application.operational_webhooks import Announcer
from service.domain import ids
from service.domain.background_tasks import BackgroundTask, TaskClaim, TaskKind
from service.domain.deliveries import Claim
from service.domain.ids import ApplicationId, EndpointId, MessageId, TaskId
from service.domain.operational_webhooks import OPERATIONS
from service.domain.replays import UNDELIVERED, Stretch
from service.domain.retries import TryAgain
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import ORG, VAULT, add_application, add_endpoint, new_message
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.queues import a_worker, came_of, owe

NEVER = 3600.0
A_LEASE = timedelta(seconds=NEVER)
SOON = timedelta(seconds=0.3)
IN_TIME = patient(20)
TRIES = 10
LATE_AT_MOST = 0.05  # seconds, of the best of the tries: others tell of the machine
KIND = TaskKind.RECOVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A process that makes things due, and another that waits for them; both listen, and see nothing due."""

    pool: asyncpg.Pool
    database: Database
    told: DeliveryTelemetry
    here_wakeups: Wakeups
    here: PostgresQueue
    there: PostgresQueue
    tasks_here: PostgresTaskQueue
    tasks_there: PostgresTaskQueue
    app: ApplicationId
    endpoint: EndpointId


Make = Callable[[Site], Awaitable[object]]


@pytest.fixture
async def site(pool: asyncpg.Pool, database: str, told: DeliveryTelemetry) -> AsyncIterator[Site]:
    here, there = Wakeups(dsn(database)), Wakeups(dsn(database))
    app = await add_application(pool)
    async with AsyncExitStack() as stack:
        queues = []
        for wakeups in (here, there):
            await stack.enter_async_context(wakeups.running())
            await asyncio.wait_for(wakeups.tasks.wait(NEVER), IN_TIME)  # it listens now
            worker = a_worker(pool, database, told, wakeups=wakeups, poll=NEVER, lease=A_LEASE)
            queues.append(await stack.enter_async_context(worker))
        yield Site(
            pool=pool,
            database=await stack.enter_async_context(open_database(database)),
            told=told,
            here_wakeups=here,
            here=queues[0],
            there=queues[1],
            tasks_here=PostgresTaskQueue(pool, here.tasks, poll=NEVER, lease=A_LEASE),
            tasks_there=PostgresTaskQueue(pool, there.tasks, poll=NEVER, lease=A_LEASE),
            app=app,
            endpoint=await add_endpoint(pool, app),
        )


async def claimed(queue: PostgresQueue) -> list[Claim]:
    return await queue.claim(limit=10, per_endpoint=10, rooms={})


async def idle(queue: PostgresQueue) -> None:
    """Until a look finds nothing and nothing was announced since."""
    while await claimed(queue):
        pass


async def next_claims(queue: PostgresQueue) -> list[Claim]:
    """What comes, as an engine waits for it."""
    async with asyncio.timeout(IN_TIME):
        while not (claims := await claimed(queue)):
            await queue.wait()
    return claims


async def next_task(queue: PostgresTaskQueue) -> TaskClaim:
    async with asyncio.timeout(IN_TIME):
        while (claim := await queue.claim([KIND])) is None:
            await queue.wait()
    return claim


async def a_retry(site: Site) -> None:
    await owe(site.pool, site.endpoint, site.app)
    (claim,) = await claimed(site.here)
    await idle(site.there)
    await site.here.settle(came_of(claim, TryAgain(delay=SOON)))


async def what_was_given_back(site: Site) -> None:
    await owe(site.pool, site.endpoint, site.app)
    claims = await claimed(site.here)
    await idle(site.there)
    await site.here.release(claims)


async def a_message(site: Site) -> None:
    await accept(site)


async def a_message_for_later(site: Site) -> None:
    await accept(site, deliver_at=datetime.now(UTC) + SOON)


async def accept(site: Site, **said: object) -> None:
    intake = PostgresIntake(site.pool, accepted=site.here_wakeups.deliveries.announce, telemetry=site.told)
    async with intake.running():
        await intake.accept(new_message(site.app, **said))


async def the_end_of_a_rest(site: Site) -> None:
    await site.pool.execute("INSERT INTO endpoint_rest VALUES ($1, 1, now() + $2)", site.endpoint, SOON)
    await owe(site.pool, site.endpoint, site.app)
    assert await claimed(site.here) == []


async def a_turn_under_a_throttle(site: Site) -> None:
    await site.pool.execute("UPDATE endpoint SET throttle_rate = 3")
    await owe(site.pool, site.endpoint, site.app, 3)
    assert len(await claimed(site.here)) < 3


async def a_resend(site: Site) -> None:
    message = await delivered_in_vain(site)
    async with work_of(site) as work:
        endpoint = await work.endpoints.get(site.app, site.endpoint)
        found = await work.messages.get(site.app, message, with_content=True)
        assert endpoint is not None
        assert found is not None
        await work.deliveries.resend(found, endpoint, resend="task_1", at=SystemClock().now() - timedelta(seconds=1))


async def a_replay(site: Site) -> None:
    message = await delivered_in_vain(site)
    async with work_of(site) as work:
        endpoint = await work.endpoints.get(site.app, site.endpoint)
        assert endpoint is not None
        stretch = Stretch(after=MessageId(""), until=message, size=10)
        await work.replays.sent(endpoint, TaskId("task_1"), stretch, UNDELIVERED)


async def what_relevo_has_to_tell(site: Site) -> None:
    operations = await add_application(site.pool, uid=ORG, org_id=OPERATIONS)
    await add_endpoint(site.pool, operations)
    async with work_of(site) as work:
        application = await work.applications.get(ORG, site.app)
        endpoint = await work.endpoints.get(site.app, site.endpoint)
        assert application is not None
        assert endpoint is not None
        announcer = Announcer(work.outbox, clock=SystemClock(), new_id=new_id, correlation_id="a-request")
        await announcer.endpoint("endpoint.updated", application, endpoint)


def work_of(site: Site) -> AbstractAsyncContextManager[PostgresUnitOfWork]:
    return open_unit_of_work(site.database.sessions, VAULT, site.here_wakeups)


async def delivered_in_vain(site: Site) -> MessageId:
    (message,) = await owe(site.pool, site.endpoint, site.app)
    await site.pool.execute("DELETE FROM pending_delivery")
    await site.pool.execute(
        "INSERT INTO settled_delivery VALUES ($1, $2, $3, $4, 2, 1)", message, site.endpoint, ORG, site.app
    )
    return MessageId(message)


DUE: list[Make] = [
    a_retry,
    what_was_given_back,
    a_message,
    a_message_for_later,
    the_end_of_a_rest,
    a_turn_under_a_throttle,
    a_resend,
    a_replay,
    what_relevo_has_to_tell,
]


@pytest.mark.parametrize("make", DUE, ids=lambda make: make.__name__)
async def test_what_one_process_makes_due_another_begins_without_a_poll(site: Site, make: Make) -> None:
    await idle(site.there)
    waiting = asyncio.create_task(site.there.wait())
    await asyncio.sleep(0)  # it has looked, and waits

    await make(site)
    await asyncio.wait_for(waiting, IN_TIME)

    assert len(await next_claims(site.there)) >= 1


@pytest.mark.parametrize("make", [a_retry, the_end_of_a_rest, a_turn_under_a_throttle], ids=lambda make: make.__name__)
async def test_what_a_process_puts_off_it_begins_itself_without_a_poll(site: Site, make: Make) -> None:
    await idle(site.here)
    await make(site)

    assert len(await next_claims(site.here)) >= 1


def a_task(site: Site) -> BackgroundTask:
    now = SystemClock().now()
    return BackgroundTask(
        id=TaskId(new_id(ids.TASK)),
        org_id=ORG,
        app_id=site.app,
        kind=KIND,
        params={},
        data={},
        created_at=now,
        updated_at=now,
    )


async def start(site: Site, *, due_in: timedelta = timedelta()) -> None:
    task = a_task(site)
    async with work_of(site) as work:
        await work.background_tasks.add(task, due_at=task.created_at + due_in)


@pytest.mark.parametrize("due_in", [timedelta(), SOON])
async def test_a_task_that_one_process_starts_another_begins_without_a_poll(site: Site, due_in: timedelta) -> None:
    assert await site.tasks_there.claim([KIND]) is None
    waiting = asyncio.create_task(site.tasks_there.wait())
    await asyncio.sleep(0)  # it has looked, and waits

    await start(site, due_in=due_in)
    await asyncio.wait_for(waiting, IN_TIME)

    assert (await next_task(site.tasks_there)).failures == 0


async def test_a_batch_that_one_process_puts_off_another_begins_without_a_poll(site: Site) -> None:
    await start(site)
    claim = await next_task(site.tasks_here)
    assert await site.tasks_there.claim([KIND]) is None
    waiting = asyncio.create_task(site.tasks_there.wait())
    await asyncio.sleep(0)  # it has looked, and waits

    await site.tasks_here.postpone(claim)
    await asyncio.wait_for(waiting, IN_TIME)

    assert (await next_task(site.tasks_there)).failures == 1


async def test_nobody_is_woken_by_what_is_undone(site: Site) -> None:
    bell = site.here_wakeups.tasks
    bell.forget()

    async with site.database.sessions() as session:
        work = PostgresUnitOfWork(session, VAULT, site.here_wakeups)
        await work.background_tasks.add(a_task(site), due_at=SystemClock().now())
        await work.rollback()
        await work.commit()

    assert not bell._due.is_set()


async def test_whoever_is_woken_finds_what_it_was_woken_for(site: Site, database: str) -> None:
    found = []

    async def owed() -> int:
        connection = await asyncpg.connect(asyncpg_dsn(database))
        try:
            return int(await connection.fetchval("SELECT count(*) FROM pending_delivery"))
        finally:
            await connection.close()

    class Listening(Bell):
        def announce(self, seconds: float = 0.0) -> None:
            # Nothing goes on here meanwhile, no commit either.
            with ThreadPoolExecutor(1) as elsewhere:
                found.append(elsewhere.submit(asyncio.run, owed()).result())
            super().announce(seconds)

    wakeups = site.here_wakeups
    wakeups.deliveries = Listening(CHANNEL)
    message = await delivered_in_vain(site)
    async with work_of(site) as work:
        endpoint = await work.endpoints.get(site.app, site.endpoint)
        stored = await work.messages.get(site.app, message, with_content=True)
        assert endpoint is not None
        assert stored is not None
        await work.deliveries.resend(stored, endpoint, resend="task_1", at=SystemClock().now())
        await asyncio.sleep(0)
        assert found == [], "nothing is committed yet"

    assert found == [1]


async def test_only_what_is_due_before_anything_told_and_before_the_next_look_is_told(
    pool: asyncpg.Pool, database: str
) -> None:
    heard: list[int] = []
    ended = asyncio.Event()
    bell = Bell(CHANNEL)
    listener = await asyncpg.connect(dsn(database))
    await listener.add_listener(CHANNEL, lambda *said: heard.append(int(said[-1])))
    await listener.add_listener("ended", lambda *_: ended.set())
    async with pool.acquire() as speaker:
        for seconds in (
            POLL_INTERVAL_S - 1,
            POLL_INTERVAL_S - 0.5,
            POLL_INTERVAL_S + 10,
            POLL_INTERVAL_S - 1.5,
            *(POLL_INTERVAL_S - 1 for _ in range(50)),
        ):
            bell.announce(seconds)
            await bell.tell(speaker)
        await speaker.execute("NOTIFY ended")
    await asyncio.wait_for(ended.wait(), IN_TIME)
    await listener.close()

    assert len(heard) == 2, "the first, and the one that is due before it"
    assert heard[0] > heard[1]


async def test_a_delivery_is_waited_for_until_its_time_and_hardly_longer(site: Site) -> None:
    async def late() -> float:
        await owe(site.pool, site.endpoint, site.app, due_in=timedelta(seconds=1.1))  # `owe` counts from a second ago
        assert await claimed(site.here) == []
        (claim,) = await next_claims(site.here)
        return (datetime.now(UTC) - claim.due_at).total_seconds()

    assert min([await late() for _ in range(TRIES)]) < LATE_AT_MOST


async def test_a_task_is_waited_for_until_its_time_and_hardly_longer(site: Site) -> None:
    async def late() -> float:
        await start(site, due_in=timedelta(hours=1))
        # Announced to nobody, so that the last look is what tells the time.
        due: datetime = await site.pool.fetchval(
            "UPDATE background_task SET due_at = now() + interval '0.1 s' WHERE failures = 0 AND lease IS NULL"
            " RETURNING due_at"
        )
        assert await site.tasks_here.claim([KIND]) is None
        await next_task(site.tasks_here)
        return (datetime.now(UTC) - due).total_seconds()

    assert min([await late() for _ in range(TRIES)]) < LATE_AT_MOST
