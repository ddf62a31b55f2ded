"""Hourly counts are kept in the commit of what they count, for the organisation, the application and the endpoint."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from service.adapters.postgres.queue.intake import PostgresIntake
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork
from service.adapters.postgres.server.database import open_database
from service.domain.deliveries import Status, Trigger
from service.domain.ids import OrgId
from service.domain.replays import Window
from service.domain.retries import Canceled, Delivered, Exhausted, Gone, TryAgain, Verdict
from service.domain.statistics import HourCounts, Owner
from service.observability.deliveries import DeliveryTelemetry
from tests.support.factories import ORG, VAULT, add_application, add_endpoint, idempotency_key, new_message
from tests.support.queues import a_worker, came_of, owe

NEVER = datetime.fromtimestamp(0, UTC)
STRANGER = OrgId("org_000000000000000000000000002")


async def hours(database: str, org_id: OrgId = ORG, *, of: Owner = ORG) -> HourCounts:
    """The sums of the last hours, since an hour may end while the test runs."""
    now = datetime.now(UTC)
    window = Window(since=now - timedelta(hours=2), until=now)
    async with open_database(database) as opened, opened.sessions() as session:
        statistics = PostgresUnitOfWork(session, VAULT).statistics
        found = await statistics.hours(org_id, window, [of])
    return summed(found.get(of, ()))


def summed(found: Sequence[HourCounts]) -> HourCounts:
    return HourCounts(
        hour=NEVER,
        accepted=sum(one.accepted for one in found),
        success=sum(one.success for one in found),
        fail=sum(one.fail for one in found),
        exhausted=sum(one.exhausted for one in found),
        canceled=sum(one.canceled for one in found),
        milliseconds=sum(one.milliseconds for one in found),
    )


async def test_what_is_accepted_is_counted_and_what_is_refused_or_repeated_is_not(
    pool: asyncpg.Pool, database: str, told: DeliveryTelemetry
) -> None:
    app, other = await add_application(pool), await add_application(pool)
    key = idempotency_key("k")
    intake = PostgresIntake(pool, accepted=lambda: None, telemetry=told)

    async with intake.running():
        for target in (app, app, other, "unknown"):
            await intake.accept(new_message(target))
        for _ in range(2):
            await intake.accept(new_message(app, idempotency_key=key))

    assert (await hours(database)).accepted == 4
    assert (await hours(database, of=app)).accepted == 3
    assert (await hours(database, of=other)).accepted == 1
    assert (await hours(database, STRANGER, of=app)).accepted == 0


@pytest.mark.parametrize(
    ("verdict", "status", "wanted"),
    [
        (Delivered(), Status.SUCCESS, {"success": 1}),
        (TryAgain(delay=timedelta(hours=1)), Status.FAIL, {"fail": 1}),
        (Exhausted(reason="schedule"), Status.FAIL, {"fail": 1, "exhausted": 1}),
        (Gone(), Status.FAIL, {"fail": 1, "exhausted": 1}),
        (Canceled(reason="endpoint_disabled"), None, {"canceled": 1}),
    ],
    ids=["delivered", "retried", "exhausted", "gone", "canceled"],
)
async def test_what_becomes_of_a_delivery_is_counted_for_all_three(
    *,
    pool: asyncpg.Pool,
    database: str,
    told: DeliveryTelemetry,
    verdict: Verdict,
    status: Status | None,
    wanted: dict[str, int],
) -> None:
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app)
    await owe(pool, endpoint, app)
    async with a_worker(pool, database, told) as queue:
        [claim] = await queue.claim(limit=1, per_endpoint=1, rooms={})
        settlement = came_of(
            claim, verdict, status=Status.FAIL if status is None else status, trigger=Trigger.SCHEDULED
        )
        await queue.settle(settlement)

    took = 0 if settlement.attempt is None else settlement.attempt.duration_ms
    of_owner = HourCounts(hour=NEVER, **wanted)
    assert await hours(database) == of_owner
    assert await hours(database, of=app) == of_owner
    assert await hours(database, of=endpoint) == HourCounts(hour=NEVER, milliseconds=took, **wanted)
