"""Rules for payloads, read from event types in PostgreSQL."""

import asyncpg

from service.adapters.postgres.server.database import unavailable_when_lost
from service.application.json_schemas import newest
from service.application.ports.intake import PayloadRule
from service.domain.ids import OrgId

RULE = """
SELECT schemas, updated_at FROM event_type WHERE org_id = $1 AND name = $2 AND validate_payloads AND NOT archived
"""


class PostgresPayloadRules:
    """Fulfils `ports.PayloadRules`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def rule(self, org_id: OrgId, event_type: str) -> PayloadRule | None:
        """The rule of an event type; None when it does not validate payloads."""
        with unavailable_when_lost():
            row = await self._pool.fetchrow(RULE, org_id, event_type)
        if row is None:
            return None
        return PayloadRule(schema=newest(row["schemas"]), version=row["updated_at"])
