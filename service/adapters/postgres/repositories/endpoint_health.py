"""Endpoints that take nothing: the worst of an organisation, and how many there are in all.

An endpoint fails from its first failure to its next success. One that nothing was sent to for a day is not looked at:
its failure is old news. Both look at no more than so many, those that have failed for longest.
"""

from collections.abc import Mapping

import asyncpg

from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.domain.health import FAILING_AGES, FAILURES_COUNTED, FailingEndpoint
from service.domain.ids import ApplicationId, EndpointId, OrgId

LOOKED_AT = 1000

_statements = beside(__name__)
FAILING, COUNT_FAILING = _statements["failing"], _statements["count_failing"]


async def failing_endpoints(transaction: Transaction, org_id: OrgId, *, size: int) -> list[FailingEndpoint]:
    """The organisation's endpoints that have failed for longest."""
    failing = FAILING(org=org_id, looked_at=LOOKED_AT, recent=FAILURES_COUNTED, size=size)
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


async def sample_failing(pool: asyncpg.Pool) -> Mapping[str, int]:
    """How many fail, by the ages of the domain; no more than so many are counted."""
    rows = await pool.fetch(
        *COUNT_FAILING(ages=list(FAILING_AGES.values()), recent=FAILURES_COUNTED, looked_at=LOOKED_AT)
    )
    return {name: row["count"] for name, row in zip(FAILING_AGES, rows, strict=True)}
