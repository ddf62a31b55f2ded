"""The queue of owed deliveries: claimed under a lease in batches, settled by group commit, given back on leaving."""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import lru_cache

import asyncpg
import structlog

from service.adapters.postgres.engine import unavailable_when_lost
from service.adapters.postgres.group_commit import GroupCommit
from service.adapters.postgres.operational_webhooks import may_be_news, tell
from service.adapters.postgres.sealed import open_headers, open_secrets
from service.adapters.postgres.wakeups import Wakeups
from service.application.ports.engine import Settled, Settlement
from service.application.ports.world import Vault
from service.domain import ids
from service.domain.deliveries import Claim, Status, Trigger
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId, OrgId
from service.domain.retries import Delivered, TryAgain
from service.observability.deliveries import DeliveryTelemetry

_log = structlog.stdlib.get_logger("relevo.queue")

LARGEST_BATCH = 256
MOST_WAITING = 100_000  # the engine's capacity bounds what can wait here, and an attempt that was made must be kept
WINDOW = 5
ENDPOINTS_A_ROUND = 500
LONGEST_SLEEP = 5.0

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

RELEASE = """
UPDATE pending_delivery p SET lease = NULL, due_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS i(endpoint_id, message_id, resend, lease)
WHERE p.endpoint_id = i.endpoint_id AND p.message_id = i.message_id AND p.resend = i.resend AND p.lease = i.lease
"""

# Applies only to rows whose lease is still the settler's. Health: a success clears the endpoint's clock, the first
# failure starts it, and failures past the limit, or a 410, switch the endpoint off.
SETTLE = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::smallint[], $7::bool[],
                         $8::text[], $9::text[], $10::text[], $11::text[], $12::smallint[], $13::text[],
                         $14::smallint[], $15::int[], $16::smallint[], $17::smallint[], $18::text[], $19::text[])
      AS i(endpoint_id, message_id, resend, lease, delay, final_status, gone,
           attempt_id, event_type, channels, url, status, response,
           response_status_code, duration_ms, trigger, number, error_type, trace_id)
), held AS MATERIALIZED (
    SELECT i.*, p.org_id, p.app_id FROM input i
    JOIN pending_delivery p USING (endpoint_id, message_id, resend)
    WHERE p.lease = i.lease
    ORDER BY endpoint_id, message_id, resend FOR UPDATE OF p
), kept AS (
    UPDATE pending_delivery p SET attempts = h.number, due_at = now() + make_interval(secs => h.delay), lease = NULL
    FROM held h
    WHERE h.delay IS NOT NULL
      AND p.endpoint_id = h.endpoint_id AND p.message_id = h.message_id AND p.resend = h.resend
), gone AS (
    DELETE FROM pending_delivery p USING held h
    WHERE h.delay IS NULL
      AND p.endpoint_id = h.endpoint_id AND p.message_id = h.message_id AND p.resend = h.resend
), settled AS (
    INSERT INTO settled_delivery AS s (message_id, endpoint_id, org_id, app_id, status, attempts)
    SELECT message_id, endpoint_id, org_id, app_id, min(final_status), sum(number) FROM held WHERE delay IS NULL
    GROUP BY message_id, endpoint_id, org_id, app_id  -- a manual and the scheduled delivery may end in one batch
    ON CONFLICT (message_id, endpoint_id) DO UPDATE
    SET status = CASE WHEN s.status = 0 THEN 0 ELSE excluded.status END, attempts = s.attempts + excluded.attempts
), tried AS (
    INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, channels, url, status, response,
                         response_status_code, duration_ms, trigger, number, error_type, trace_id)
    SELECT attempt_id, org_id, app_id, message_id, endpoint_id, event_type, string_to_array(channels, ','), url, status,
           response, response_status_code, duration_ms, trigger, number, error_type, trace_id
    FROM held WHERE attempt_id IS NOT NULL
), counted AS (
    INSERT INTO endpoint_hour AS c (endpoint_id, hour, part, org_id, app_id, success, fail, canceled)
    SELECT endpoint_id, date_trunc('hour', now(), 'UTC'), pg_backend_pid() % 16, min(org_id), min(app_id),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND status = 0),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND status <> 0),
           count(*) FILTER (WHERE attempt_id IS NULL)
    FROM held GROUP BY endpoint_id ORDER BY endpoint_id
    ON CONFLICT (endpoint_id, hour, part) DO UPDATE
    SET success = c.success + excluded.success, fail = c.fail + excluded.fail,
        canceled = c.canceled + excluded.canceled
), health AS (
    SELECT endpoint_id, bool_or(status = 0) AS succeeded, bool_or(status <> 0 AND trigger = 0) AS failed,
           bool_or(gone) AS gone
    FROM held WHERE attempt_id IS NOT NULL GROUP BY endpoint_id
), judged AS (
    UPDATE endpoint e
    SET first_failure_at = CASE WHEN h.succeeded THEN NULL ELSE coalesce(e.first_failure_at, now()) END,
        disabled = e.disabled OR h.gone
                   OR (NOT h.succeeded AND coalesce(e.first_failure_at <= now() - $20::interval, false))
    FROM health h
    WHERE e.id = h.endpoint_id AND CASE
        WHEN h.gone THEN NOT e.disabled
        WHEN h.succeeded THEN e.first_failure_at IS NOT NULL
        ELSE h.failed AND NOT e.disabled
             AND (e.first_failure_at IS NULL OR e.first_failure_at <= now() - $20::interval)
    END
    RETURNING e.id, e.disabled AND (h.gone OR NOT h.succeeded) AS disabled
)
SELECT h.endpoint_id, h.message_id, h.resend, coalesce(j.disabled, false) AS switched_off
FROM held h LEFT JOIN judged j ON j.id = h.endpoint_id
"""


class PostgresQueue:
    """Fulfils `ports.DeliveryQueue`."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        vault: Vault,
        wakeups: Wakeups,
        *,
        lease: timedelta,
        disable_after: timedelta,
        telemetry: DeliveryTelemetry,
        attempted: Callable[[ApplicationId, AttemptId], None] = lambda _app, _attempt: None,
    ) -> None:
        self._attempted = attempted
        self._pool = pool
        self._wakeups = wakeups
        self._lease = lease
        self._disable_after = disable_after
        self._telemetry = telemetry
        self._next_due = 0.0
        self._cursor = ""
        # Endpoints are few and claims are many: what was unsealed stays unsealed for a while.
        self._secrets = lru_cache(maxsize=4096)(lambda sealed: open_secrets(vault, sealed))
        self._headers = lru_cache(maxsize=4096)(lambda sealed: open_headers(vault, sealed))
        self._settlements = GroupCommit[Settlement, Settled](
            self._commit, largest_batch=LARGEST_BATCH, most_waiting=MOST_WAITING
        )

    async def claim(self, *, limit: int, per_endpoint: int, rooms: Mapping[EndpointId, int]) -> list[Claim]:
        """Up to `limit` due deliveries, at most `per_endpoint` of one endpoint, or what `rooms` has for it."""
        self._wakeups.forget()
        lease = os.urandom(8).hex()
        shares = _shares(per_endpoint, rooms)
        with unavailable_when_lost():
            rows = await self._pool.fetch(CLAIM, lease, self._lease, limit, *shares)
            self._next_due = LONGEST_SLEEP if rows[0]["next_due"] is None else rows[0]["next_due"]
            claims = self._claims(rows)
            if rows[0]["more"] and len(claims) < limit:
                rows = await self._pool.fetch(
                    CLAIM_BY_TURNS, lease, self._lease, limit - len(claims), *shares, self._cursor
                )
                self._cursor = rows[0]["cursor"]
                claims += self._claims(rows)
                self._next_due = 0.0 if self._cursor else self._next_due
        return claims

    async def settle(self, settlement: Settlement) -> Settled:
        """Keep what came of an attempt, if its lease is still ours."""
        return await self._settlements.submit(settlement)

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give leases back unspent; the deliveries are due at once."""
        if not claims:
            return
        with unavailable_when_lost():
            await self._pool.execute(RELEASE, *_columns([_key(claim) for claim in claims]))
        self._wakeups.announce()

    async def wait(self) -> None:
        """Return when something may be due: announced, or by the clock of what is in the queue."""
        await self._wakeups.wait(min(max(self._next_due, 0.01), LONGEST_SLEEP))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Settle while the block lasts."""
        async with self._settlements.running():
            yield

    def _claims(self, rows: Sequence[asyncpg.Record]) -> list[Claim]:
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

    async def _commit(self, batch: Sequence[Settlement]) -> list[Settled]:
        with self._telemetry.batch("settle", (), size=len(batch)), unavailable_when_lost():
            rows = await self._settle(batch)
        applied = {(row["endpoint_id"], row["message_id"], row["resend"]): row["switched_off"] for row in rows}
        for settlement in batch:
            if settlement.attempt is not None and _key(settlement.claim)[:3] in applied:
                self._attempted(settlement.claim.app_id, settlement.attempt.id)
        return [_settled(applied.get(_key(settlement.claim)[:3])) for settlement in batch]

    async def _settle(self, batch: Sequence[Settlement]) -> list[asyncpg.Record]:
        parameters = (*_columns([_settle_row(settlement) for settlement in batch]), self._disable_after)
        if not may_be_news(batch):
            settled: list[asyncpg.Record] = await self._pool.fetch(SETTLE, *parameters)
            return settled
        async with self._pool.acquire() as connection, connection.transaction():
            settled = await connection.fetch(SETTLE, *parameters)
            keys = {(row["endpoint_id"], row["message_id"], row["resend"]) for row in settled}
            applied = [settlement for settlement in batch if _key(settlement.claim)[:3] in keys]
            switched_off = {row["endpoint_id"] for row in settled if row["switched_off"]}
            something = await tell(connection, applied, switched_off=switched_off)
        if something:
            self._wakeups.announce()
        return settled


def _shares(per_endpoint: int, rooms: Mapping[EndpointId, int]) -> tuple[object, ...]:
    """Parameters 4 to 7 of a claim: the usual share, who gets nothing, who gets another share and how large it is."""
    others = {endpoint: room for endpoint, room in rooms.items() if room not in {0, per_endpoint}}
    return per_endpoint, [e for e, room in rooms.items() if not room], list(others), list(others.values())


def _settled(switched_off: bool | None) -> Settled:  # noqa: FBT001 - a column's value, not a switch
    return Settled(applied=switched_off is not None, endpoint_switched_off=bool(switched_off))


def _key(claim: Claim) -> tuple[str, str, str, str]:
    return (claim.endpoint_id, claim.message_id, claim.resend, claim.lease)


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _settle_row(settlement: Settlement) -> tuple[object, ...]:
    claim, verdict, attempt = settlement.claim, settlement.verdict, settlement.attempt
    delay = verdict.delay.total_seconds() if isinstance(verdict, TryAgain) else None
    final = None if delay is not None else _final_status(settlement)
    head = (*_key(claim), delay, final, settlement.endpoint_gone)
    if attempt is None:
        return (*head, *(None,) * 9, claim.attempt - 1, None, None)
    return (
        *head,
        attempt.id,
        claim.event_type,
        ",".join(claim.channels) if claim.channels else None,
        attempt.url,
        attempt.status,
        attempt.response,
        attempt.response_status_code,
        attempt.duration_ms,
        attempt.trigger,
        attempt.number,
        attempt.error_type,
        attempt.trace_id,
    )


def _final_status(settlement: Settlement) -> Status:
    if isinstance(settlement.verdict, Delivered):
        return Status.SUCCESS
    return Status.FAIL if settlement.attempt else Status.CANCELED
