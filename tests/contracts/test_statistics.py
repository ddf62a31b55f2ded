"""What a StatisticsRepository does."""

from datetime import UTC, datetime, timedelta

from service.adapters.postgres.server.database import Database
from service.application.ports.pages import PageRequest
from service.domain.endpoints import Endpoint
from service.domain.health import EndpointCondition
from service.domain.ids import OrgId
from service.domain.replays import Window
from service.domain.statistics import AttemptCounts
from tests.contracts.conftest import BeginKept
from tests.support.factories import ORG
from tests.support.sent import an_address

NOW, HOUR = datetime.now(UTC), timedelta(hours=1)
STRANGER = OrgId("org_000000000000000000000000002")
A_DAY = Window(since=NOW - 24 * HOUR, until=NOW)
COUNT = (
    "INSERT INTO endpoint_hour (endpoint_id, hour, part, org_id, app_id, success, fail, canceled)"
    " VALUES ($1, date_trunc('hour', $2::timestamptz, 'UTC'), $3, $4, $5, $6, $7, $8)"
)


async def counted(
    database: Database, endpoint: Endpoint, *, at: datetime = NOW, part: int = 0, counts: tuple[int, int, int]
) -> None:
    await database.pool.execute(COUNT, endpoint.id, at, part, endpoint.org_id, endpoint.app_id, *counts)


async def test_the_hours_of_a_window_are_added_up(shared: Database, kept: BeginKept) -> None:
    (_, endpoint), (_, other) = await an_address(shared), await an_address(shared)
    await counted(shared, endpoint, counts=(1, 2, 3))
    await counted(shared, endpoint, part=7, counts=(10, 0, 0))
    await counted(shared, endpoint, at=NOW - 20 * HOUR, counts=(100, 0, 1))
    await counted(shared, endpoint, at=NOW - 30 * HOUR, counts=(1000, 0, 0))
    await counted(shared, other, counts=(5, 5, 5))

    async with kept() as work:
        found = await work.statistics.attempts(endpoint, A_DAY)

    assert found == AttemptCounts(success=111, fail=2, canceled=4)


async def test_usage_is_told_of_each_application_or_of_those_that_are_named(shared: Database, kept: BeginKept) -> None:
    (one, endpoint), (other, _) = await an_address(shared), await an_address(shared)
    await counted(shared, endpoint, counts=(2, 3, 4))

    async with kept() as work:
        named = await work.statistics.usage(ORG, PageRequest(ascending=True), A_DAY, among=[one.id, other.id])
        foreign = await work.statistics.usage(STRANGER, PageRequest(), A_DAY, among=None)
        nobody = await work.statistics.usage(ORG, PageRequest(), A_DAY, among=[])
        refs = await work.statistics.applications(ORG, [one.id, "unknown"])

    assert {item.app_id: item.attempts for item in named.items} == {one.id: 5, other.id: 0}
    assert (list(foreign.items), list(nobody.items)) == ([], [])
    assert refs == {one.id: one.id}


async def test_what_endpoints_want_is_told_by_application(shared: Database, kept: BeginKept) -> None:
    few, _ = await an_address(shared, event_types=("b", "a"))
    every, _ = await an_address(shared)
    gone, endpoint = await an_address(shared, event_types=("c",))
    async with kept() as work:
        await work.endpoints.delete(endpoint, at=NOW)

    async with kept() as work:
        page = await work.statistics.subscriptions(ORG, PageRequest(limit=250))

    found = {item.app_id: (item.event_types, item.catches_all) for item in page.items}
    assert found[few.id] == (("a", "b"), False)
    assert found[every.id] == ((), True)
    assert found[gone.id] == ((), False)


async def test_who_takes_nothing_is_told_with_its_failures(shared: Database, kept: BeginKept) -> None:
    _, endpoint = await an_address(shared)
    await counted(shared, endpoint, counts=(0, 7, 0))
    await shared.pool.execute("UPDATE endpoint SET first_failure_at = $2 WHERE id = $1", endpoint.id, NOW - HOUR)

    async with kept() as work:
        (found,) = await work.statistics.failing(ORG, size=10)
        assert await work.statistics.failing(STRANGER, size=10) == []
        await work.endpoints.forget_failures(endpoint)
        assert await work.statistics.failing(ORG, size=10) == []

    assert (found.id, found.failures, found.since) == (endpoint.id, 7, NOW - HOUR)


async def test_how_an_endpoint_stands_is_since_when_it_fails_and_until_when_it_rests(
    shared: Database, kept: BeginKept
) -> None:
    (_, endpoint), (_, rested), (_, other) = [await an_address(shared) for _ in range(3)]
    await shared.pool.execute("UPDATE endpoint SET first_failure_at = $2 WHERE id = $1", endpoint.id, NOW - HOUR)
    rests = [(endpoint.id, NOW + HOUR), (rested.id, NOW - HOUR)]
    await shared.pool.executemany("INSERT INTO endpoint_rest (endpoint_id, rests, until) VALUES ($1, 1, $2)", rests)

    async with kept() as work:
        found = [await work.statistics.condition(one) for one in (endpoint, rested, other)]

    assert found == [
        EndpointCondition(failing_since=NOW - HOUR, rests_until=NOW + HOUR),
        EndpointCondition(failing_since=None, rests_until=None),
        EndpointCondition(failing_since=None, rests_until=None),
    ]


async def test_the_oldest_due_delivery_is_the_organisations_own(shared: Database, kept: BeginKept) -> None:
    own, stranger = OrgId("org_waiting"), OrgId("org_idle")
    owed = (
        "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at, attempts)"
        " VALUES ($1, $1, $2, 'app', now() + $3::interval, $4)"
    )
    for name, after, attempts in (("a", -60, 0), ("b", -600, 3), ("c", 600, 0)):
        await shared.pool.execute(owed, name, own, timedelta(seconds=after), attempts)

    async with kept() as work:
        since, nobody = await work.statistics.oldest_due(own), await work.statistics.oldest_due(stranger)

    assert since is not None
    assert 590 < (datetime.now(UTC) - since).total_seconds() < 700
    assert nobody is None
