"""The queue on a real PostgreSQL: leases, turns, settlement."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.server.columns import read_pairs, seal_headers
from service.adapters.postgres.server.database import dsn
from service.adapters.postgres.server.wakeups import Wakeups
from service.domain.deliveries import Claim, Settled, Status, Trigger
from service.domain.endpoints import TRACE_METADATA_KEY, wants_trace
from service.domain.retries import Canceled, Delivered, Exhausted, Gone, TryAgain
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import VAULT, add_application, add_endpoint
from tests.support.patience import patient
from tests.support.queues import a_worker, came_of, owe

A_LONG_TIME = 3600.0  # seconds: nobody who waits for an announcement gives up before the test does
RESEND = """
INSERT INTO pending_delivery (endpoint_id, message_id, resend, org_id, app_id, due_at)
SELECT endpoint_id, message_id, 'again', org_id, app_id, now() FROM pending_delivery
"""
APPLIED = Settled(applied=True, endpoint_switched_off=False)
TOO_LATE = Settled(applied=False, endpoint_switched_off=False)


@pytest.fixture
async def queue(pool: asyncpg.Pool, database: str, told: DeliveryTelemetry) -> AsyncIterator[PostgresQueue]:
    async with a_worker(pool, database, told) as queue:
        yield queue


async def why_disabled(pool: asyncpg.Pool) -> tuple[str, bool]:
    """The reason of the one endpoint, and whether both times that go with it have moved."""
    row = await pool.fetchrow(
        "SELECT disabled_reason, disabled_at = updated_at AND disabled_at > created_at AS moved FROM endpoint"
        " WHERE disabled"
    )
    return row["disabled_reason"], row["moved"]


async def claim_one(queue: PostgresQueue) -> Claim:
    (claim,) = await queue.claim(limit=10, per_endpoint=10, rooms={})
    return claim


async def test_a_claim_holds_everything_that_an_attempt_needs(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool, uid="customer-42")
    endpoint = await add_endpoint(pool, app, url="https://example.com/hook")
    (message,) = await owe(pool, endpoint, app)
    await pool.execute("UPDATE message SET content_type = 'application/xml'")

    claim = await claim_one(queue)

    assert (claim.message_id, claim.endpoint_id, claim.attempt) == (message, endpoint, 1)
    assert (claim.app_id, claim.app_uid) == (app, "customer-42")
    assert claim.content_type == "application/xml"
    assert (claim.destination.shown, claim.payload, claim.endpoint_active) == ("https://example.com/hook", b"{}", True)
    assert len(claim.secrets) == 1


async def test_a_claim_knows_the_endpoints_headers_and_tells_them_to_nobody(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app)
    await pool.execute("UPDATE endpoint SET headers = $1", seal_headers(VAULT, {"X-Key": "marker"}))
    await owe(pool, endpoint, app)

    claim = await claim_one(queue)

    assert dict(claim.destination.headers) == {"X-Key": "marker"}
    assert "marker" not in repr(claim)


async def test_who_wants_our_trace_is_the_same_to_a_claim_as_to_an_example(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    said: list[dict[str, str]] = [
        {},
        *({TRACE_METADATA_KEY: word} for word in ("true", "false", "True", "1", "")),
        {"a": "true"},
    ]
    by_endpoint = {await add_endpoint(pool, app): metadata for metadata in said}
    for endpoint, metadata in by_endpoint.items():
        await pool.execute("UPDATE endpoint SET metadata = $2 WHERE id = $1", endpoint, json.dumps(metadata))
        await owe(pool, endpoint, app)

    claims = await queue.claim(limit=10, per_endpoint=10, rooms={})

    assert {claim.endpoint_id: claim.wants_trace for claim in claims} == {
        endpoint: wants_trace(metadata) for endpoint, metadata in by_endpoint.items()
    }
    assert sum(claim.wants_trace for claim in claims) == 1


async def test_what_is_claimed_is_nobody_else_s(
    pool: asyncpg.Pool, database: str, queue: PostgresQueue, told: DeliveryTelemetry
) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app)
    owed = await owe(pool, endpoint, app, 200)

    async with a_worker(pool, database, told) as other:
        claims = await asyncio.gather(
            *(worker.claim(limit=30, per_endpoint=30, rooms={}) for _ in range(8) for worker in (queue, other))
        )

    taken = [claim.message_id for batch in claims for claim in batch]
    assert len(taken) == len(set(taken))
    assert set(taken) <= set(owed)
    assert len(taken) > 30


async def test_what_is_not_due_yet_stays(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, due_in=timedelta(minutes=5))

    assert await queue.claim(limit=10, per_endpoint=10, rooms={}) == []


async def test_one_endpoint_s_backlog_leaves_room_for_the_others(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    crowded, quiet = await add_endpoint(pool, app), await add_endpoint(pool, app)
    await owe(pool, crowded, app, 300)
    (message,) = await owe(pool, quiet, app)

    claims = await queue.claim(limit=20, per_endpoint=5, rooms={})

    assert [claim.endpoint_id for claim in claims].count(crowded) == 5
    assert message in [claim.message_id for claim in claims]


async def test_retries_never_hide_a_first_attempt(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app)
    await owe(pool, endpoint, app, 60, due_in=timedelta(minutes=-5), attempts=1)
    (message,) = await owe(pool, endpoint, app)

    claims = await queue.claim(limit=10, per_endpoint=2, rooms={})

    assert sorted(claim.attempt for claim in claims) == [1, 2]
    assert message in [claim.message_id for claim in claims]


async def test_a_saturated_endpoint_is_passed_over(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    saturated, other = await add_endpoint(pool, app), await add_endpoint(pool, app)
    await owe(pool, saturated, app, 5)
    (message,) = await owe(pool, other, app)

    claims = await queue.claim(limit=10, per_endpoint=10, rooms={saturated: 0})

    assert [claim.message_id for claim in claims] == [message]


async def test_an_endpoint_gets_the_share_that_it_is_allowed(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    strained, eager = await add_endpoint(pool, app), await add_endpoint(pool, app)
    await owe(pool, strained, app, 9)
    await owe(pool, eager, app, 9)

    claims = await queue.claim(limit=20, per_endpoint=5, rooms={strained: 1, eager: 7})

    assert Counter(claim.endpoint_id for claim in claims) == {strained: 1, eager: 7}


async def test_a_late_worker_cannot_settle_a_delivery_that_was_taken_over(
    pool: asyncpg.Pool, database: str, queue: PostgresQueue, told: DeliveryTelemetry
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app)
    late = await claim_one(queue)
    await pool.execute("UPDATE pending_delivery SET due_at = now()")  # the lease ends

    async with a_worker(pool, database, told) as other:
        taken_over = await claim_one(other)
        too_late = await queue.settle(came_of(late, Delivered(), status=Status.SUCCESS))
        rows_after_the_late_one = await pool.fetchval("SELECT count(*) FROM attempt")
        in_time = await other.settle(came_of(taken_over, Delivered(), status=Status.SUCCESS))

    assert (too_late, rows_after_the_late_one, in_time) == (TOO_LATE, 0, APPLIED)
    assert await pool.fetchval("SELECT count(*) FROM attempt") == 1


async def test_a_delivered_message_leaves_the_queue_and_is_kept_as_a_success(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app)

    settled = await queue.settle(came_of(await claim_one(queue), Delivered(), status=Status.SUCCESS))

    assert settled == APPLIED
    assert await pool.fetchval("SELECT count(*) FROM pending_delivery") == 0
    assert await pool.fetchval("SELECT status FROM settled_delivery") == Status.SUCCESS


async def test_a_failure_that_is_tried_again_is_due_after_its_delay(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app)

    await queue.settle(came_of(await claim_one(queue), TryAgain(delay=timedelta(minutes=5))))

    row = await pool.fetchrow("SELECT attempts, lease, due_at - now() AS due_in FROM pending_delivery")
    assert (row["attempts"], row["lease"]) == (1, None)
    assert timedelta(minutes=4, seconds=50) < row["due_in"] <= timedelta(minutes=5)


async def test_the_next_claim_knows_the_trace_of_the_attempt_before(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app)
    first = await claim_one(queue)
    at_once = TryAgain(delay=timedelta(0))

    await queue.settle(came_of(first, at_once, trace_id="a" * 32, span_id="b" * 16))
    second = await claim_one(queue)

    assert (first.previous, second.previous) == (None, f"00-{'a' * 32}-{'b' * 16}-01")


async def test_faults_of_ours_never_switch_an_endpoint_off(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app)
    await pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '9 days'")

    settled = await queue.settle(
        came_of(await claim_one(queue), Exhausted(reason="attempts_used_up"), error_type="internal")
    )

    assert settled == APPLIED


async def test_failures_that_somebody_asked_for_never_switch_an_endpoint_off(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app)
    await pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '9 days'")

    settled = await queue.settle(came_of(await claim_one(queue), Exhausted(reason="manual"), trigger=Trigger.MANUAL))

    assert settled == APPLIED


async def test_a_delivery_given_back_is_due_at_once_and_has_spent_no_attempt(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app)
    claim = await claim_one(queue)

    await queue.release([claim])

    assert replace(await claim_one(queue), lease="", due_at=claim.due_at) == replace(claim, lease="")


async def test_a_late_worker_gives_nothing_back_that_was_taken_over(
    pool: asyncpg.Pool, database: str, queue: PostgresQueue, told: DeliveryTelemetry
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app)
    late = await claim_one(queue)
    await pool.execute("UPDATE pending_delivery SET due_at = now()")  # the lease ends

    async with a_worker(pool, database, told) as other:
        await claim_one(other)
        await queue.release([late])
        left = await other.claim(limit=1, per_endpoint=1, rooms={})

    assert left == []


async def test_an_endpoint_that_is_gone_is_switched_off(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, 2)
    first, second = await queue.claim(limit=2, per_endpoint=2, rooms={})

    settled = await queue.settle(came_of(first, Gone()))
    canceled = await queue.settle(came_of(second, Canceled(reason="endpoint_disabled")))

    assert settled == Settled(applied=True, endpoint_switched_off=True)
    assert canceled == APPLIED
    assert await why_disabled(pool) == ("gone", True)
    statuses = await pool.fetch("SELECT message_id, status FROM settled_delivery")
    assert dict(map(tuple, statuses)) == {first.message_id: Status.FAIL, second.message_id: Status.CANCELED}


async def test_five_days_of_nothing_but_failures_switch_an_endpoint_off(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, 4)
    claims = await queue.claim(limit=4, per_endpoint=4, rooms={})
    again = TryAgain(delay=timedelta(minutes=5))

    first = await queue.settle(came_of(claims[0], again))
    await pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '4 days 23 hours'")
    not_yet = await queue.settle(came_of(claims[1], again))
    await pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '5 days 1 minute'")
    last = await queue.settle(came_of(claims[2], Exhausted(reason="attempts_used_up")))

    assert (first, not_yet) == (APPLIED, APPLIED)
    assert last == Settled(applied=True, endpoint_switched_off=True)
    assert await why_disabled(pool) == ("failing", True)


async def test_one_success_forgives_all_failures_before_it(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, 2)
    claims = await queue.claim(limit=2, per_endpoint=2, rooms={})
    await pool.execute("UPDATE endpoint SET first_failure_at = now() - interval '9 days'")

    await queue.settle(came_of(claims[0], Delivered(), status=Status.SUCCESS))
    await queue.settle(came_of(claims[1], TryAgain(delay=timedelta(minutes=5))))

    assert not await pool.fetchval("SELECT disabled FROM endpoint")
    assert await pool.fetchval("SELECT first_failure_at > now() - interval '1 minute' FROM endpoint")


async def test_an_announcement_in_one_process_wakes_the_others(database: str) -> None:
    here, there = Wakeups(dsn(database)), Wakeups(dsn(database))

    async with here.running(), there.running():
        await there.deliveries.wait(patient(5))  # it listens now
        there.deliveries.forget()
        waiting = asyncio.create_task(there.deliveries.wait(A_LONG_TIME))
        here.deliveries.announce()
        await asyncio.wait_for(waiting, patient(5))

    assert waiting.done()


async def test_a_listener_that_lost_its_connection_hears_again(pool: asyncpg.Pool, database: str) -> None:
    here, there = Wakeups(dsn(database)), Wakeups(dsn(database))

    async with there.running():
        await there.deliveries.wait(patient(5))  # it listens now
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        there.deliveries.forget()
        await there.deliveries.wait(patient(5))  # it listens once more
        there.deliveries.forget()
        async with here.running():
            waiting = asyncio.create_task(there.deliveries.wait(A_LONG_TIME))
            here.deliveries.announce()
            await asyncio.wait_for(waiting, patient(5))

    assert waiting.done()


async def test_an_endpoint_whose_secrets_cannot_be_opened_stops_nobody_else(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    locked, open_to_us = await add_endpoint(pool, app), await add_endpoint(pool, app)
    await pool.execute("UPDATE endpoint SET secrets = 'sealed by a key that is gone' WHERE id = $1", locked)
    await owe(pool, locked, app)
    (message,) = await owe(pool, open_to_us, app)

    claims = await queue.claim(limit=10, per_endpoint=10, rooms={})

    assert [claim.message_id for claim in claims] == [message]


async def test_a_resend_that_fails_leaves_the_scheduled_delivery_as_it_was(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    await owe(pool, await add_endpoint(pool, app), app, due_in=timedelta(hours=2), attempts=3)
    scheduled = dict(await pool.fetchrow("SELECT * FROM pending_delivery"))
    await pool.execute(RESEND)

    await queue.settle(came_of(await claim_one(queue), Exhausted(reason="manual"), trigger=Trigger.MANUAL))

    assert [dict(row) for row in await pool.fetch("SELECT * FROM pending_delivery")] == [scheduled]


async def test_a_manual_and_the_scheduled_delivery_may_end_in_one_statement(
    pool: asyncpg.Pool, queue: PostgresQueue
) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app)
    (message,) = await owe(pool, endpoint, app)
    await pool.execute(RESEND)
    first, second = await queue.claim(limit=2, per_endpoint=2, rooms={})

    await queue._settlements._settle(
        [came_of(first, Exhausted(reason="manual")), came_of(second, Delivered(), status=Status.SUCCESS)]
    )

    rows = await pool.fetch("SELECT message_id, status, attempts FROM settled_delivery")
    assert [tuple(row) for row in rows] == [(message, Status.SUCCESS, 2)]


async def test_headers_both_ways_are_kept_with_the_attempt(pool: asyncpg.Pool, queue: PostgresQueue) -> None:
    endpoint = await add_endpoint(pool, app := await add_application(pool))
    await owe(pool, endpoint, app, 2)
    with_headers, without = await queue.claim(limit=10, per_endpoint=10, rooms={})
    there, back = (("X-A", "caf\u00e9"), ("webhook-signature", "***")), (("x-a", "1"), ("x-a", "2"))

    await asyncio.gather(
        queue.settle(
            came_of(with_headers, Delivered(), status=Status.SUCCESS, request_headers=there, response_headers=back)
        ),
        queue.settle(came_of(without, Delivered(), status=Status.SUCCESS)),
    )

    rows = await pool.fetch("SELECT message_id, request_headers, response_headers FROM attempt")
    assert {row[0]: (read_pairs(row[1]), read_pairs(row[2])) for row in rows} == {
        with_headers.message_id: (there, back),
        without.message_id: ((), ()),
    }
