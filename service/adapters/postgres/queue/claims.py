"""Claiming: the statements that take deliveries under a lease, and the claims that are made of their rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import asyncpg
import structlog

from service.adapters.postgres.queue.opened import Opened
from service.adapters.postgres.queue.rests import RESTING
from service.adapters.postgres.server.sealed import open_headers, open_secrets
from service.application.ports.machine import Vault
from service.domain import ids
from service.domain.deliveries import Claim, Trigger
from service.domain.ids import ApplicationId, EndpointId, MessageId, OrgId

_log = structlog.stdlib.get_logger("relevo.queue")

MOST_OPENED = 4_000_000
WINDOW = 5
WIDE_WINDOW = 1000
ENDPOINTS_A_ROUND = 500

# Row by row and by key, whatever the planner thinks of a number that it does not know, and no further than needed.
LOCKED = """
        SELECT p.endpoint_id, p.message_id, p.resend, p.due_at FROM pending_delivery p
        WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
          AND p.due_at <= now() FOR UPDATE SKIP LOCKED
"""
TAKE = """
), taken AS (
    UPDATE pending_delivery p SET lease = $1, due_at = now() + $2::interval, throttled = false
    FROM chosen c
    WHERE p.endpoint_id = c.endpoint_id AND p.message_id = c.message_id AND p.resend = c.resend
    RETURNING p.*, c.due_at AS was_due_at
), full_claim AS (
    SELECT t.*, (SELECT a.uid FROM application a WHERE a.id = t.app_id) AS app_uid,
           m.event_type, m.channels, m.payload, m.content_type, m.correlation_id, m.traceparent, m.deliver_at,
           e.url, e.headers, e.secrets, NOT e.disabled AND e.deleted_at IS NULL AS active,
           e.metadata ->> 'relevo.traceparent' = 'true' AS wants_trace
    FROM taken t
    LEFT JOIN message m ON m.id = t.message_id
    JOIN endpoint e ON e.id = t.endpoint_id
)
"""

# Who has no throttle at all pays one look at two empty indexes for them.
_THROTTLED = """
    CROSS JOIN LATERAL (
        SELECT FROM endpoint e JOIN application a ON a.id = e.app_id
        WHERE e.id = o.endpoint_id AND NOT e.disabled AND e.deleted_at IS NULL
          AND coalesce(e.throttle_rate, a.throttle_rate) IS NOT NULL
        OFFSET 0  -- one by one, by key
    ) t
    WHERE (SELECT EXISTS (SELECT FROM endpoint WHERE throttle_rate IS NOT NULL)
               OR EXISTS (SELECT FROM application WHERE throttle_rate IS NOT NULL))
"""

# The first of what is due, at most so many of one endpoint, and everybody's first before anybody's second. First
# attempts and retries are looked at apart, so that a flood of retries never hides a new message. What waits for an
# endpoint without room is left out at once: it may be most of what is seen. What is under a throttle is put aside, out
# of everybody's way: see `throttles`. What is owed to who rests is due when the rest ends: see `rests`. Everybody's
# turn comes: see CLAIM_BY_TURNS.
CLAIM = f"""
WITH seen AS MATERIALIZED (
    (SELECT endpoint_id, message_id, resend, due_at, attempts FROM pending_delivery
     WHERE attempts = 0 AND due_at <= now() ORDER BY due_at LIMIT $7::int)
    UNION ALL
    (SELECT endpoint_id, message_id, resend, due_at, attempts FROM pending_delivery
     WHERE attempts > 0 AND due_at <= now() ORDER BY due_at LIMIT $7::int)
), horizon AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY endpoint_id, attempts > 0 ORDER BY due_at) AS place FROM seen
    WHERE endpoint_id NOT IN (SELECT endpoint_id FROM unnest($5::text[], $6::int[]) AS share(endpoint_id, room)
                              WHERE room = 0)
), resting AS MATERIALIZED ({RESTING.format(source="horizon")}), throttled AS MATERIALIZED (
    SELECT endpoint_id FROM (SELECT DISTINCT endpoint_id FROM seen) o {_THROTTLED}
), put_aside AS (
    UPDATE pending_delivery p SET throttled = true, lease = NULL, due_at = now() + interval '1 hour'
    FROM (SELECT p.* FROM throttled JOIN seen c USING (endpoint_id) CROSS JOIN LATERAL ({LOCKED}) p) w
    WHERE p.endpoint_id = w.endpoint_id AND p.message_id = w.message_id AND p.resend = w.resend
    RETURNING p.message_id
), early AS MATERIALIZED (  -- by itself, or else the planner may lock what is not early as well
    SELECT c.*, s.until FROM resting s JOIN horizon c USING (endpoint_id)
    WHERE c.resend = '' AND c.endpoint_id NOT IN (SELECT endpoint_id FROM throttled)
), deferred AS (
    UPDATE pending_delivery p SET lease = NULL, due_at = w.until + w.place * interval '1 ms'
    FROM (SELECT p.*, c.until, c.place FROM early c CROSS JOIN LATERAL ({LOCKED}) p) w
    WHERE p.endpoint_id = w.endpoint_id AND p.message_id = w.message_id AND p.resend = w.resend
    RETURNING p.due_at
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY endpoint_id ORDER BY place, attempts > 0) AS turn
    FROM horizon WHERE endpoint_id NOT IN (SELECT endpoint_id FROM throttled)
      AND (resend <> '' OR endpoint_id NOT IN (SELECT endpoint_id FROM resting))
), candidate AS MATERIALIZED (
    SELECT r.* FROM ranked r
    LEFT JOIN unnest($5::text[], $6::int[]) AS share(endpoint_id, room) USING (endpoint_id)
    WHERE r.turn <= coalesce(share.room, $4::int)
    ORDER BY r.turn, r.attempts > 0, r.due_at LIMIT $7::int
), chosen AS (
    SELECT p.* FROM candidate c CROSS JOIN LATERAL ({LOCKED}) p LIMIT $3
{TAKE}
SELECT (SELECT greatest(count(*) FILTER (WHERE attempts = 0), count(*) FILTER (WHERE attempts > 0)) FROM seen)
           >= $7::int AS more,
       extract(epoch FROM least(
           (SELECT min(due_at) FROM pending_delivery WHERE attempts = 0 AND due_at > now()),
           (SELECT min(due_at) FROM pending_delivery WHERE attempts > 0 AND due_at > now()),
           (SELECT min(until) FROM resting)
       ) - now())::float8 AS next_due,
       (SELECT EXISTS (SELECT FROM pending_delivery WHERE throttled)) AS throttled_wait,
       (SELECT count(*) FROM put_aside) AS put_aside,
       extract(epoch FROM (SELECT min(due_at) FROM deferred) - now())::float8 AS rests_for,
       c.*
FROM (VALUES (1)) AS always(one) LEFT JOIN full_claim c ON true
"""

# When somebody's backlog fills the horizon, go from endpoint to endpoint instead, each step one index probe: every
# application's first before anybody's second, and by lot where there are more of them than may be taken.
CLAIM_BY_TURNS = f"""
WITH RECURSIVE owed AS (
    (SELECT endpoint_id FROM pending_delivery WHERE endpoint_id > $7 ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint_id FROM pending_delivery p WHERE p.endpoint_id > o.endpoint_id
            ORDER BY p.endpoint_id LIMIT 1)
    FROM owed o WHERE o.endpoint_id IS NOT NULL
), round AS MATERIALIZED (
    SELECT endpoint_id FROM owed WHERE endpoint_id IS NOT NULL LIMIT {ENDPOINTS_A_ROUND}
), throttled AS MATERIALIZED (
    SELECT endpoint_id FROM round o {_THROTTLED}
), resting AS MATERIALIZED ({RESTING.format(source="round")}), ranked AS MATERIALIZED (
    SELECT d.*, row_number() OVER (PARTITION BY d.app_id ORDER BY d.turn, d.attempts > 0) AS app_turn
    FROM (SELECT endpoint_id, coalesce(room, $4::int) AS room
          FROM round LEFT JOIN unnest($5::text[], $6::int[]) AS share(endpoint_id, room) USING (endpoint_id)) o
    CROSS JOIN LATERAL (
        SELECT *, row_number() OVER (ORDER BY place, attempts > 0) AS turn FROM (
            (SELECT endpoint_id, message_id, resend, app_id, attempts, row_number() OVER (ORDER BY due_at) AS place
             FROM pending_delivery p
             WHERE p.endpoint_id = o.endpoint_id AND p.attempts = 0 AND p.due_at <= now()
             ORDER BY due_at LIMIT o.room)
            UNION ALL
            (SELECT endpoint_id, message_id, resend, app_id, attempts, row_number() OVER (ORDER BY due_at) AS place
             FROM pending_delivery p
             WHERE p.endpoint_id = o.endpoint_id AND p.attempts > 0 AND p.due_at <= now()
             ORDER BY due_at LIMIT o.room)
        ) due ORDER BY turn LIMIT o.room
    ) d
    WHERE o.room > 0 AND o.endpoint_id NOT IN (SELECT endpoint_id FROM throttled)
      AND o.endpoint_id NOT IN (SELECT endpoint_id FROM resting)
    ORDER BY app_turn, random()
), chosen AS (
    SELECT p.* FROM ranked c CROSS JOIN LATERAL ({LOCKED}) p LIMIT $3
{TAKE}
SELECT (SELECT CASE WHEN count(*) = {ENDPOINTS_A_ROUND} THEN max(endpoint_id) ELSE '' END FROM round) AS cursor, c.*
FROM (VALUES (1)) AS always(one) LEFT JOIN full_claim c ON true
"""


class ClaimReader:
    """Makes claims of rows."""

    def __init__(self, vault: Vault) -> None:
        self._secrets = Opened(partial(open_secrets, vault), most=MOST_OPENED)
        self._headers = Opened(partial(open_headers, vault), most=MOST_OPENED)

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
            app_uid=row["app_uid"],
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
            content_type=row["content_type"],
            url=row["url"],
            headers=self._headers(row["headers"]),
            secrets=self._secrets(row["secrets"]),
            endpoint_active=row["active"],
            correlation_id=row["correlation_id"] or "",
            traceparent=row["traceparent"],
            previous=row["previous"],
            delivered=row["delivered"],
            wants_trace=bool(row["wants_trace"]),
        )


def shares(per_endpoint: int, rooms: Mapping[EndpointId, int]) -> tuple[object, ...]:
    """Parameters 4 to 6 of a claim: the usual share, who gets another one and how large it is."""
    others = {endpoint: room for endpoint, room in rooms.items() if room != per_endpoint}
    return per_endpoint, list(others), list(others.values())


def window(limit: int, rooms: Mapping[EndpointId, int]) -> int:
    """How far to look for so many: further when some of what is seen cannot be taken."""
    return max(limit * WINDOW, WIDE_WINDOW if 0 in rooms.values() else 0)


def left(per_endpoint: int, rooms: Mapping[EndpointId, int], claims: Sequence[Claim]) -> dict[EndpointId, int]:
    """The rooms that these claims leave."""
    taken = Counter(claim.endpoint_id for claim in claims)
    rest = {endpoint: rooms.get(endpoint, per_endpoint) - count for endpoint, count in taken.items()}
    return {**rooms, **rest}
