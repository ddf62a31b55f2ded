"""Large tenants beside small ones, and endpoints that fail, on a real PostgreSQL with several workers."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from service.adapters.machine.clock import new_id
from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.domain import ids
from service.domain.deliveries import Settled, Status
from service.domain.ids import ApplicationId, EndpointId
from service.domain.retries import Delivered, Gone, TryAgain
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import ORG, add_application, add_endpoint
from tests.support.queues import a_worker, came_of, owe

AGAIN = TryAgain(delay=timedelta(minutes=5))


@pytest.fixture
async def queue(pool: asyncpg.Pool, database: str, told: DeliveryTelemetry) -> AsyncIterator[PostgresQueue]:
    async with a_worker(pool, database, told) as queue:
        yield queue


@pytest.fixture
async def other(pool: asyncpg.Pool, database: str, told: DeliveryTelemetry) -> AsyncIterator[PostgresQueue]:
    """The queue of another process."""
    async with a_worker(pool, database, told) as queue:
        yield queue


async def owe_much(pool: asyncpg.Pool, app: ApplicationId, endpoints: list[EndpointId], *, attempts: int) -> None:
    """10,000 deliveries that are due for a minute, shared among the endpoints."""
    await pool.execute(
        "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at, attempts)"
        " SELECT ($1::text[])[1 + n % cardinality($1::text[])], id, $2, $3, now() - interval '1 minute', $4"
        " FROM unnest($5::text[]) WITH ORDINALITY AS m(id, n)",
        endpoints,
        ORG,
        app,
        attempts,
        [new_id(ids.MESSAGE) for _ in range(10_000)],
    )


@pytest.mark.parametrize("endpoints", [1, 100])
@pytest.mark.parametrize("attempts", [0, 1])
async def test_ten_thousand_deliveries_of_a_large_tenant_do_not_hold_up_a_small_one_s_first(
    pool: asyncpg.Pool, queue: PostgresQueue, endpoints: int, attempts: int
) -> None:
    large, small = await add_application(pool), await add_application(pool)
    await owe_much(pool, large, [await add_endpoint(pool, large) for _ in range(endpoints)], attempts=attempts)
    (message,) = await owe(pool, await add_endpoint(pool, small), small)

    claims = [claim for _ in range(2) for claim in await queue.claim(limit=50, per_endpoint=8, rooms={})]

    assert message in [claim.message_id for claim in claims]
    assert len(claims) <= 100


async def test_what_one_process_learns_of_a_gone_endpoint_holds_for_the_others(
    pool: asyncpg.Pool, queue: PostgresQueue, other: PostgresQueue
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, 2)
    (first,) = await queue.claim(limit=1, per_endpoint=1, rooms={})

    await queue.settle(came_of(first, Gone(), response_status_code=410))
    (second,) = await other.claim(limit=1, per_endpoint=1, rooms={})

    assert not second.endpoint_active


async def test_failures_and_successes_count_across_processes(
    pool: asyncpg.Pool, queue: PostgresQueue, other: PostgresQueue
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, 4)
    claims = await queue.claim(limit=4, per_endpoint=4, rooms={})

    await queue.settle(came_of(claims[0], AGAIN))
    await pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '6 days'")
    await other.settle(came_of(claims[1], Delivered(), status=Status.SUCCESS))
    forgiven = await queue.settle(came_of(claims[2], AGAIN))
    await pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '6 days'")
    switched_off = await other.settle(came_of(claims[3], AGAIN))

    assert forgiven == Settled(applied=True, endpoint_switched_off=False)
    assert switched_off == Settled(applied=True, endpoint_switched_off=True)
