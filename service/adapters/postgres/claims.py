"""Claiming: the statements that take deliveries under a lease, and the claims that are made of their rows."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import asyncpg
import structlog

from service.adapters.postgres.sealed import open_headers, open_secrets
from service.application.ports.world import Vault
from service.domain import ids
from service.domain.deliveries import Claim, Trigger
from service.domain.ids import ApplicationId, EndpointId, MessageId, OrgId

_log = structlog.stdlib.get_logger("relevo.queue")

WINDOW = 5
ENDPOINTS_A_ROUND = 500

_TAKE = """
), taken AS (
    UPDATE pending_delivery p SET lease = $1, due_at = now() + $2::interval
    FROM chosen c
    WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
    RETURNING p.*, c.due_at AS was_due_at
), full_claim AS (
    SELECT t.*, m.event_type, m.channels, m.payload, m.correlation_id, m.traceparent, m.deliver_at,
           e.url, e.headers, e.secrets, NOT e.disabled AND e.deleted_at IS NULL AS active
    FROM taken t
    LEFT JOIN message m ON m.id = t.message_id
    JOIN endpoint e ON e.id = t.endpoint_id
)
"""

# The first of what is due, at most so many of one endpoint. Everybody's turn comes: see CLAIM_BY_TURNS.
CLAIM = f"""
WITH horizon AS MATERIALIZED (
    SELECT endpoint_id, message_id, resend, due_at FROM pending_delivery
    WHERE due_at <= now() AND endpoint_id <> ALL ($5::text[])
    ORDER BY due_at LIMIT $3::int * {WINDOW}
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY endpoint_id ORDER BY due_at) AS turn FROM horizon
), chosen AS (
    SELECT p.endpoint_id, p.message_id, p.resend, p.due_at
    FROM pending_delivery p JOIN ranked r USING (endpoint_id, message_id, resend)
    LEFT JOIN unnest($6::text[], $7::int[]) AS share(endpoint_id, room) USING (endpoint_id)
    WHERE r.turn <= coalesce(share.room, $4::int) AND p.due_at <= now()
    ORDER BY r.turn, p.due_at LIMIT $3 FOR UPDATE OF p SKIP LOCKED
{_TAKE}
SELECT (SELECT count(*) FROM horizon) = $3::int * {WINDOW} AS more,
       (SELECT extract(epoch FROM min(due_at) - now())::float8 FROM pending_delivery WHERE due_at > now()) AS next_due,
       c.*
FROM (VALUES (1)) AS always(one) LEFT JOIN full_claim c ON true
"""

# When one endpoint's backlog fills the horizon, go from endpoint to endpoint instead, each step one index probe.
CLAIM_BY_TURNS = f"""
WITH RECURSIVE owed AS (
    (SELECT endpoint_id FROM pending_delivery WHERE endpoint_id > $8 ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint_id FROM pending_delivery p WHERE p.endpoint_id > o.endpoint_id
            ORDER BY p.endpoint_id LIMIT 1)
    FROM owed o WHERE o.endpoint_id IS NOT NULL
), round AS MATERIALIZED (
    SELECT endpoint_id FROM owed WHERE endpoint_id IS NOT NULL LIMIT {ENDPOINTS_A_ROUND}
), ranked AS MATERIALIZED (
    SELECT d.* FROM round r
    LEFT JOIN unnest($6::text[], $7::int[]) AS share(endpoint_id, room) USING (endpoint_id)
    CROSS JOIN LATERAL (
        SELECT endpoint_id, message_id, resend, due_at, row_number() OVER (ORDER BY due_at) AS turn
        FROM pending_delivery p
        WHERE p.endpoint_id = r.endpoint_id AND p.due_at <= now() AND r.endpoint_id <> ALL ($5::text[])
        ORDER BY due_at LIMIT coalesce(share.room, $4::int)
    ) d
), chosen AS (
    SELECT p.endpoint_id, p.message_id, p.resend, p.due_at
    FROM pending_delivery p JOIN ranked r USING (endpoint_id, message_id, resend)
    WHERE p.due_at <= now()
    ORDER BY r.turn, p.due_at LIMIT $3 FOR UPDATE OF p SKIP LOCKED
{_TAKE}
SELECT (SELECT CASE WHEN count(*) = {ENDPOINTS_A_ROUND} THEN max(endpoint_id) ELSE '' END FROM round) AS cursor, c.*
FROM (VALUES (1)) AS always(one) LEFT JOIN full_claim c ON true
"""


class ClaimReader:
    """Makes claims of rows."""

    def __init__(self, vault: Vault) -> None:
        # Endpoints are few and claims are many: what was unsealed stays unsealed for a while.
        self._secrets = lru_cache(maxsize=4096)(lambda sealed: open_secrets(vault, sealed))
        self._headers = lru_cache(maxsize=4096)(lambda sealed: open_headers(vault, sealed))

    def claims(self, rows: Sequence[asyncpg.Record]) -> list[Claim]:
        """The claims of those rows that have one."""
        claims = (self._readable(row) for row in rows if row["lease"] is not None)
        return [claim for claim in claims if claim is not None]

    def _readable(self, row: asyncpg.Record) -> Claim | None:
        """None for a claim whose endpoint's secrets cannot be opened: it waits for its lease, the others go on."""
        try:
            return self._claim(row)
        except Exception as error:  # noqa: BLE001 - one endpoint's fault must not stop everybody's deliveries
            _log.error("claim.unreadable", endpoint_id=row["endpoint_id"], error_type=type(error).__qualname__)
            return None

    def _claim(self, row: asyncpg.Record) -> Claim:
        return Claim(
            message_id=MessageId(row["message_id"]),
            endpoint_id=EndpointId(row["endpoint_id"]),
            app_id=ApplicationId(row["app_id"]),
            org_id=OrgId(row["org_id"]),
            resend=row["resend"],
            lease=row["lease"],
            attempt=row["attempts"] + 1,
            trigger=Trigger.MANUAL if row["resend"] else Trigger.SCHEDULED,
            due_at=row["was_due_at"],
            accepted_at=row["deliver_at"] or ids.time_of(row["message_id"]),
            event_type=row["event_type"] or "",
            channels=tuple(row["channels"]) if row["channels"] else None,
            payload=row["payload"],
            url=row["url"],
            headers=self._headers(row["headers"]),
            secrets=self._secrets(row["secrets"]),
            endpoint_active=row["active"],
            correlation_id=row["correlation_id"] or "",
            traceparent=row["traceparent"],
        )


def shares(per_endpoint: int, rooms: Mapping[EndpointId, int]) -> tuple[object, ...]:
    """Parameters 4 to 7 of a claim: the usual share, who gets nothing, who gets another share and how large it is."""
    others = {endpoint: room for endpoint, room in rooms.items() if room not in {0, per_endpoint}}
    return per_endpoint, [e for e, room in rooms.items() if not room], list(others), list(others.values())
