"""Failing endpoints: the longest failing ones of an organisation, their number in all, and how one of them stands.

An endpoint is failing from its first failure to its next success. One without a failed attempt in the last day is left
out. Lists and numbers examine a bounded number, the longest failing first.
"""

from collections.abc import Mapping

import asyncpg

from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.domain.endpoints import Endpoint
from service.domain.health import FAILING_AGES, FAILURES_COUNTED, EndpointCondition, FailingEndpoint
from service.domain.ids import ApplicationId, EndpointId, OrgId

EXAMINED_ENDPOINTS = 1000

_statements = beside(__name__)
FAILING, COUNT_FAILING, CONDITION = (_statements[name] for name in ("failing", "count_failing", "condition"))


async def failing_endpoints(transaction: Transaction, org_id: OrgId, *, size: int) -> list[FailingEndpoint]:
    """The organisation's endpoints that have failed for longest."""
    failing = FAILING(org=org_id, looked_at=EXAMINED_ENDPOINTS, recent=FAILURES_COUNTED, size=size)
    return [
        FailingEndpoint(
            id=EndpointId(row.id),
            uid=row.uid,
            app_id=ApplicationId(row.app_id),
            app_uid=row.app_uid,
            url=row.url,
            since=row.first_failure_at,
            failures=row.failures,
        )
        for row in await transaction.execute_driver(*failing)
    ]


async def condition_of(transaction: Transaction, endpoint: Endpoint) -> EndpointCondition:
    """How the endpoint stands now."""
    row = (await transaction.execute_driver(*CONDITION(endpoint=endpoint.id, app=endpoint.app_id))).one()
    return EndpointCondition(failing_since=row.first_failure_at, rests_until=row.rests_until)


async def sample_failing(pool: asyncpg.Pool) -> Mapping[str, int]:
    """How many endpoints have been failing for longer than each of `FAILING_AGES`; counts up to a bound."""
    rows = await pool.fetch(
        *COUNT_FAILING(ages=list(FAILING_AGES.values()), recent=FAILURES_COUNTED, looked_at=EXAMINED_ENDPOINTS)
    )
    return {name: row["count"] for name, row in zip(FAILING_AGES, rows, strict=True)}
