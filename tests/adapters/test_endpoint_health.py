"""Which endpoints take nothing: the worst of an organisation, and the number of all for the operators."""

from datetime import timedelta

import asyncpg
import pytest

from service.adapters.postgres.repositories.endpoint_health import sample_failing
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import open_database
from service.domain.ids import EndpointId, OrgId
from tests.support.factories import ORG, VAULT, add_application, add_endpoint

HOUR = timedelta(hours=1)
ELSEWHERE = OrgId("org_000000000000000000000000002")


async def failing(
    pool: asyncpg.Pool, *, since: timedelta, last: timedelta = timedelta(), failures: int = 3, disabled: bool = False
) -> EndpointId:
    """An endpoint whose first failure is that long ago, and the last hour in which it was tried."""
    app = await add_application(pool)
    endpoint = await add_endpoint(pool, app, disabled=disabled)
    await pool.execute("UPDATE endpoint SET first_failure_at = now() - $2::interval WHERE id = $1", endpoint, since)
    await pool.execute(
        "INSERT INTO endpoint_hour (endpoint_id, hour, part, org_id, app_id, success, fail, canceled)"
        " VALUES ($1, date_trunc('hour', now() - $2::interval), 0, $3, $4, 0, $5, 0)",
        endpoint,
        last,
        ORG,
        app,
        failures,
    )
    return endpoint


async def listed(database: str, *, org_id: OrgId = ORG, size: int = 10) -> list[tuple[str, int]]:
    async with open_database(database) as opened, open_unit_of_work(opened.sessions, VAULT) as work:
        return [(found.id, found.failures) for found in await work.statistics.failing(org_id, size=size)]


async def test_the_endpoints_that_have_failed_for_longest_come_first_and_no_more_than_asked_for(
    pool: asyncpg.Pool, database: str
) -> None:
    young = await failing(pool, since=HOUR, failures=9)
    old = await failing(pool, since=30 * HOUR, failures=2)
    await add_endpoint(pool, await add_application(pool))

    assert await listed(database) == [(old, 2), (young, 9)]
    assert await listed(database, size=1) == [(old, 2)]
    assert await listed(database, org_id=ELSEWHERE) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"disabled": True},
        {"failures": 0},
        {"last": 30 * HOUR},
    ],
    ids=["disabled", "nothing failed lately", "nothing was sent for a day"],
)
async def test_what_is_disabled_or_old_news_fails_no_more(
    pool: asyncpg.Pool, database: str, changed: dict[str, object]
) -> None:
    await failing(pool, **({"since": 40 * HOUR} | changed))  # type: ignore[arg-type] # a table of cases

    assert await listed(database) == []
    assert set((await sample_failing(pool)).values()) == {0}


async def test_operators_see_how_many_fail_by_how_long(pool: asyncpg.Pool) -> None:
    for since in (0.1 * HOUR, 0.5 * HOUR, 2 * HOUR, 2 * HOUR, 30 * HOUR):
        await failing(pool, since=since)

    assert await sample_failing(pool) == {"15m": 4, "1h": 3, "6h": 1, "1d": 1}
