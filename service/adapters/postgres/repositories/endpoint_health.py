"""Endpoints that take nothing: the worst of an organisation, and how many there are in all.

An endpoint fails from its first failure to its next success. One that nothing was sent to for a day is not looked at:
its failure is old news. Both look at no more than so many, those that have failed for longest.
"""

from collections.abc import Mapping

import asyncpg
from sqlalchemy import text

from service.adapters.postgres.server.transaction import Transaction
from service.domain.health import AGES, RECENT, FailingEndpoint
from service.domain.ids import ApplicationId, EndpointId, OrgId

LOOKED_AT = 1000

FAILING = """
SELECT e.id, e.uid, e.app_id, a.uid AS app_uid, e.url, e.first_failure_at, h.failures
FROM (SELECT id, uid, app_id, url, first_failure_at FROM endpoint
      WHERE org_id = :org AND first_failure_at IS NOT NULL AND NOT disabled AND deleted_at IS NULL
      ORDER BY first_failure_at LIMIT :looked_at) e
JOIN application a ON a.id = e.app_id
CROSS JOIN LATERAL (
    SELECT sum(fail) AS failures FROM endpoint_hour c
    WHERE c.endpoint_id = e.id AND c.hour >= now() - CAST(:recent AS interval)
) h
WHERE h.failures > 0
ORDER BY e.first_failure_at, e.id LIMIT :size
"""

COUNT_FAILING = """
WITH failing AS MATERIALIZED (
    SELECT e.first_failure_at FROM endpoint e
    WHERE e.first_failure_at <= now() AND NOT e.disabled AND e.deleted_at IS NULL
      AND EXISTS (SELECT FROM endpoint_hour c
                  WHERE c.endpoint_id = e.id AND c.hour >= now() - $2::interval AND c.fail > 0)
    ORDER BY e.first_failure_at LIMIT $3
)
SELECT a.place, count(f.first_failure_at) AS count
FROM unnest($1::interval[]) WITH ORDINALITY AS a(age, place)
LEFT JOIN failing f ON f.first_failure_at <= now() - a.age
GROUP BY a.place ORDER BY a.place
"""


async def failing_endpoints(transaction: Transaction, org_id: OrgId, *, size: int) -> list[FailingEndpoint]:
    """The organisation's endpoints that have failed for longest."""
    statement = text(FAILING).bindparams(org=org_id, looked_at=LOOKED_AT, recent=RECENT, size=size)
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
        for row in await transaction.execute(statement)
    ]


async def sample_failing(pool: asyncpg.Pool) -> Mapping[str, int]:
    """How many fail, by the ages of the domain; no more than so many are counted."""
    rows = await pool.fetch(COUNT_FAILING, list(AGES.values()), RECENT, LOOKED_AT)
    return {name: row["count"] for name, row in zip(AGES, rows, strict=True)}
