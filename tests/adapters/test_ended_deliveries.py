"""A success of any attempt ends the delivery, in the same commit, whichever process makes it or holds the rest."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import asyncpg
import pytest

from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.domain.deliveries import Claim, Settled, Settlement, Status, Trigger
from service.domain.retries import Canceled, Delivered, Exhausted, Gone, TryAgain, Verdict
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import add_application, add_endpoint
from tests.support.patience import patient
from tests.support.queues import a_worker, came_of, owe

ONCE_MORE = """
INSERT INTO pending_delivery (endpoint_id, message_id, resend, org_id, app_id, due_at, again)
SELECT endpoint_id, message_id, $1, org_id, app_id, now(), $2 FROM pending_delivery WHERE resend = ''
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
SETTLED = "SELECT status, attempts FROM settled_delivery"
PAIRS = 40
APPLIED = Settled(applied=True, endpoint_switched_off=False)
RETRY = TryAgain(delay=timedelta(hours=1))
MANUAL_FAILURE = Exhausted(reason="manual")


@pytest.fixture
async def here(pool: asyncpg.Pool, database: str, told: DeliveryTelemetry) -> AsyncIterator[PostgresQueue]:
    async with a_worker(pool, database, told) as queue:
        yield queue


@pytest.fixture
async def there(pool: asyncpg.Pool, database: str, told: DeliveryTelemetry) -> AsyncIterator[PostgresQueue]:
    async with a_worker(pool, database, told) as queue:
        yield queue


async def claimed(queue: PostgresQueue, *, limit: int = 1) -> list[Claim]:
    return await queue.claim(limit=limit, per_endpoint=limit, rooms={})


async def settle(queue: PostgresQueue, claim: Claim, verdict: Verdict) -> Settled:
    status = Status.SUCCESS if isinstance(verdict, Delivered) else Status.FAIL
    return await queue.settle(came_of(claim, verdict, status=status, trigger=claim.trigger))


async def owe_one(pool: asyncpg.Pool, *, due_in: timedelta = timedelta(), attempts: int = 0) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, due_in=due_in, attempts=attempts)


async def owed(pool: asyncpg.Pool) -> list[str]:
    return [row["resend"] for row in await pool.fetch("SELECT resend FROM pending_delivery ORDER BY resend")]


async def standing(pool: asyncpg.Pool) -> list[tuple[int, int]]:
    return [tuple(row) for row in await pool.fetch(SETTLED)]


def by_trigger(claims: Sequence[Claim]) -> tuple[Claim, Claim]:
    """The scheduled one and the manual one."""
    scheduled, manual = sorted(claims, key=lambda claim: claim.trigger)
    assert (scheduled.trigger, manual.trigger) == (Trigger.SCHEDULED, Trigger.MANUAL)
    return scheduled, manual


@pytest.mark.parametrize("attempts", [0, 3])
async def test_a_manual_success_ends_what_is_scheduled_and_keeps_the_count_of_its_attempts(
    pool: asyncpg.Pool, here: PostgresQueue, attempts: int
) -> None:
    await owe_one(pool, due_in=timedelta(hours=2), attempts=attempts)
    await pool.execute(ONCE_MORE, "task_1", False)

    await settle(here, (await claimed(here))[0], Delivered())

    assert await owed(pool) == []
    assert await standing(pool) == [(Status.SUCCESS, attempts + 1)]


@pytest.mark.parametrize(
    ("again", "left"), [(False, []), (True, ["task_1"])], ids=["asked for as undelivered", "asked for though delivered"]
)
async def test_a_scheduled_success_ends_what_was_asked_for_as_undelivered(
    pool: asyncpg.Pool, here: PostgresQueue, again: bool, left: list[str]
) -> None:
    await owe_one(pool)
    (scheduled,) = await claimed(here)
    await pool.execute(ONCE_MORE, "task_1", again)

    await settle(here, scheduled, Delivered())

    assert await owed(pool) == left


async def test_a_success_ends_nothing_of_other_messages_or_endpoints(pool: asyncpg.Pool, here: PostgresQueue) -> None:
    app = await add_application(pool)
    one, other = await add_endpoint(pool, app), await add_endpoint(pool, app)
    await owe(pool, one, app, 2)
    await owe(pool, other, app)

    await settle(here, (await claimed(here))[0], Delivered())

    assert len(await owed(pool)) == 2


@pytest.mark.parametrize(
    "verdict", [RETRY, Exhausted(reason="attempts_used_up"), Gone()], ids=lambda v: type(v).__name__
)
async def test_what_another_process_holds_as_a_manual_attempt_succeeds_is_kept_and_not_tried_again(
    pool: asyncpg.Pool, here: PostgresQueue, there: PostgresQueue, verdict: Verdict
) -> None:
    await owe_one(pool)
    (scheduled,) = await claimed(there)
    await pool.execute(ONCE_MORE, "task_1", False)
    (manual,) = await claimed(here)

    await settle(here, manual, Delivered())
    late = await settle(there, scheduled, verdict)

    assert late.applied
    assert await owed(pool) == []
    assert await standing(pool) == [(Status.SUCCESS, 2)]
    assert await pool.fetchval("SELECT count(*) FROM attempt") == 2, "both were made and both are told"


async def test_a_success_that_comes_second_ends_the_retry_that_the_first_has_just_scheduled(
    pool: asyncpg.Pool, here: PostgresQueue, there: PostgresQueue
) -> None:
    await owe_one(pool)
    (scheduled,) = await claimed(there)
    await pool.execute(ONCE_MORE, "task_1", False)
    (manual,) = await claimed(here)

    await settle(there, scheduled, RETRY)
    await settle(here, manual, Delivered())

    assert await owed(pool) == []
    assert await standing(pool) == [(Status.SUCCESS, 2)]


@pytest.mark.parametrize("scheduled_first", [True, False])
async def test_a_success_and_a_failure_in_one_batch_end_the_delivery(
    pool: asyncpg.Pool, here: PostgresQueue, *, scheduled_first: bool
) -> None:
    await owe_one(pool)
    await pool.execute(ONCE_MORE, "task_1", False)
    scheduled, manual = by_trigger(await claimed(here, limit=2))
    batch = [came_of(scheduled, RETRY), came_of(manual, Delivered(), status=Status.SUCCESS)]

    await here._settlements._settle(batch if scheduled_first else batch[::-1])

    assert await owed(pool) == []
    assert await standing(pool) == [(Status.SUCCESS, 2)]


async def test_what_a_worker_held_that_died_is_claimed_as_delivered_and_counted_as_nothing(
    pool: asyncpg.Pool, here: PostgresQueue, there: PostgresQueue
) -> None:
    await owe_one(pool)
    await claimed(there)
    await pool.execute(ONCE_MORE, "task_1", False)
    await settle(here, (await claimed(here))[0], Delivered())
    await pool.execute("UPDATE pending_delivery SET due_at = now()")  # the lease ends

    (left,) = await claimed(here)
    assert left.delivered
    await here.settle(Settlement(claim=left, verdict=Delivered(), attempt=None))

    assert await owed(pool) == []
    assert await standing(pool) == [(Status.SUCCESS, 1)]
    hours = await pool.fetch("SELECT success, fail, canceled FROM endpoint_hour")
    assert [sum(row) for row in hours] == [1]


@pytest.mark.parametrize("ended_as", [Status.FAIL, Status.CANCELED])
async def test_a_manual_success_of_what_was_given_up_makes_it_a_success(
    pool: asyncpg.Pool, here: PostgresQueue, ended_as: Status
) -> None:
    await owe_one(pool)
    await pool.execute(ONCE_MORE, "task_1", False)
    scheduled, manual = by_trigger(await claimed(here, limit=2))
    given_up = (
        Canceled(reason="endpoint_disabled") if ended_as is Status.CANCELED else Exhausted(reason="attempts_used_up")
    )

    await here.settle(came_of(scheduled, given_up))
    await settle(here, manual, Delivered())

    assert [status for status, _ in await standing(pool)] == [Status.SUCCESS]


async def test_a_success_of_a_lease_that_was_lost_ends_nothing(
    pool: asyncpg.Pool, here: PostgresQueue, there: PostgresQueue
) -> None:
    await owe_one(pool, due_in=timedelta(hours=2))
    await pool.execute(ONCE_MORE, "task_1", False)
    (late,) = await claimed(here)
    await pool.execute("UPDATE pending_delivery SET due_at = now() WHERE resend <> ''")
    await claimed(there)

    assert not (await settle(here, late, Delivered())).applied
    assert await owed(pool) == ["", "task_1"]


@pytest.mark.parametrize("seed", range(3))
async def test_scheduled_and_manual_attempts_at_once_in_two_processes_end_each_delivery_without_a_deadlock(
    pool: asyncpg.Pool, here: PostgresQueue, there: PostgresQueue, seed: int
) -> None:
    chance = random.Random(seed)
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, PAIRS)
    await pool.execute(ONCE_MORE, "task_1", False)
    held = [(queue, claim) for queue in (here, there) for claim in await claimed(queue, limit=PAIRS)]
    chance.shuffle(held)
    by_hand = {claim.message_id for _, claim in held[:PAIRS]}

    async def attempt(queue: PostgresQueue, claim: Claim) -> None:
        succeeds = (claim.trigger is Trigger.MANUAL) == (claim.message_id in by_hand)
        failed = MANUAL_FAILURE if claim.trigger is Trigger.MANUAL else RETRY
        assert await settle(queue, claim, Delivered() if succeeds else failed) == APPLIED

    await asyncio.gather(*(attempt(queue, claim) for queue, claim in held))

    assert len(held) == 2 * PAIRS
    assert await owed(pool) == []
    assert await standing(pool) == [(Status.SUCCESS, 2)] * PAIRS
    assert await pool.fetchval("SELECT count(*) FROM attempt") == 2 * PAIRS
    await pool.execute("SELECT pg_stat_clear_snapshot()")
    assert await pool.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


@pytest.mark.parametrize("giving_back", [False, True])
async def test_whoever_settles_or_gives_back_locks_deliveries_in_one_order(
    pool: asyncpg.Pool, here: PostgresQueue, *, giving_back: bool
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, PAIRS)
    claims = sorted(await claimed(here, limit=PAIRS), key=lambda claim: claim.message_id, reverse=True)
    batch = [came_of(claim, RETRY) for claim in claims]

    async with pool.acquire() as other, asyncio.timeout(patient(10)):
        async with other.transaction():
            await other.execute("SELECT FROM pending_delivery ORDER BY message_id LIMIT 1 FOR UPDATE")
            waiting = asyncio.ensure_future(here.release(claims) if giving_back else here._settlements._settle(batch))
            while not await other.fetchval(WAITING):  # noqa: ASYNC110  # another connection's doing
                await asyncio.sleep(0.01)
            free = await other.fetch("SELECT FROM pending_delivery FOR UPDATE SKIP LOCKED")
        await waiting

    assert len(free) == PAIRS, "whoever waits for the first one holds none of the rest"


async def test_giving_back_waits_in_the_order_of_those_who_settle(
    pool: asyncpg.Pool, here: PostgresQueue, there: PostgresQueue
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, PAIRS)
    scheduled = await claimed(here, limit=PAIRS)
    await pool.execute(ONCE_MORE, "task_1", False)
    manual = await claimed(there, limit=PAIRS)

    await asyncio.gather(here.release(scheduled[::-1]), *(settle(there, claim, Delivered()) for claim in manual))
    left = [claim for claim in await claimed(here, limit=PAIRS) if not claim.delivered]

    assert left == []
