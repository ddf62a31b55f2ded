"""Settling: what came of attempts is kept by group commit, one statement a batch, if their leases still hold."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from service.adapters.postgres.queue import attempt_headers
from service.adapters.postgres.queue.operational_webhooks import may_be_news, tell
from service.adapters.postgres.queue.rests import REST
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.group_commit import GroupCommit
from service.adapters.postgres.server.wakeups import Bell
from service.application.ports.queue import Settled, Settlement
from service.domain.deliveries import Claim, Status
from service.domain.ids import ApplicationId, AttemptId
from service.domain.retries import Delivered, TryAgain
from service.observability.deliveries import DeliveryTelemetry

LARGEST_BATCH = 256
MOST_WAITING = 100_000  # the engine's capacity bounds what can wait here, and an attempt that was made must be kept

# Applies only to rows whose lease is still the settler's. Whatever two batches may both want is locked in one order
# everywhere, so that they never wait for each other. A success ends whatever else is owed of the same message to the
# same endpoint: what waits leaves with it, what somebody holds is marked, and its holder tries it no more. Health: a
# success clears the endpoint's clock, the first failure starts it, and failures past the limit, or a 410, switch the
# endpoint off. Faults of ours count for nothing.
SETTLE = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::smallint[], $7::bool[],
                         $8::text[], $9::text[], $10::text[], $11::text[], $12::smallint[], $13::text[],
                         $14::smallint[], $15::int[], $16::smallint[], $17::smallint[], $18::text[], $19::text[],
                         $20::text[], $21::float8[], $22::text[], $23::text[])
      AS i(endpoint_id, message_id, resend, lease, delay, final_status, gone,
           attempt_id, event_type, channels, url, status, response,
           response_status_code, duration_ms, trigger, number, error_type, trace_id, span_id, rest,
           request_headers, response_headers)
), locked AS MATERIALIZED (  -- its own row and, of a success, the others that it ends
    SELECT i.*, p.org_id, p.app_id, p.delivered, p.resend AS row, p.attempts AS row_attempts, p.lease AS row_lease
    FROM input i
    JOIN pending_delivery p ON p.endpoint_id = i.endpoint_id AND p.message_id = i.message_id
     AND CASE WHEN p.resend = i.resend THEN p.lease = i.lease ELSE i.final_status = 0 AND NOT p.again END
    ORDER BY p.endpoint_id, p.message_id, p.resend FOR UPDATE OF p
), ended AS MATERIALIZED (
    SELECT DISTINCT o.endpoint_id, o.message_id, o.row AS resend, o.org_id, o.app_id, o.row_attempts, o.row_lease
    FROM locked o JOIN locked s USING (endpoint_id, message_id, resend)
    WHERE o.row <> o.resend AND s.row = s.resend
), held AS MATERIALIZED (
    SELECT endpoint_id, message_id, resend, org_id, app_id, CASE WHEN NOT over THEN delay END AS delay,
           CASE WHEN over THEN 0 ELSE final_status END AS final_status, over, gone, attempt_id, event_type, channels,
           url, status, response, response_status_code, duration_ms, trigger, number, error_type, trace_id, span_id,
           rest, request_headers, response_headers
    FROM (SELECT *, delivered OR (endpoint_id, message_id, resend) IN
                 (SELECT endpoint_id, message_id, resend FROM ended) AS over
          FROM locked WHERE row = resend) own
), kept AS (
    UPDATE pending_delivery p
    SET attempts = h.number, due_at = now() + make_interval(secs => h.delay), lease = NULL,
        previous = '00-' || h.trace_id || '-' || h.span_id || '-01'
    FROM held h
    WHERE h.delay IS NOT NULL
      AND p.endpoint_id = h.endpoint_id AND p.message_id = h.message_id AND p.resend = h.resend
), gone AS (
    DELETE FROM pending_delivery p USING held h
    WHERE h.delay IS NULL
      AND p.endpoint_id = h.endpoint_id AND p.message_id = h.message_id AND p.resend = h.resend
), swept AS (
    DELETE FROM pending_delivery p USING ended e
    WHERE e.row_lease IS NULL
      AND p.endpoint_id = e.endpoint_id AND p.message_id = e.message_id AND p.resend = e.resend
), marked AS (
    UPDATE pending_delivery p SET delivered = true FROM ended e
    WHERE e.row_lease IS NOT NULL
      AND p.endpoint_id = e.endpoint_id AND p.message_id = e.message_id AND p.resend = e.resend
      AND (e.endpoint_id, e.message_id, e.resend) NOT IN (SELECT endpoint_id, message_id, resend FROM held)
), settled AS (
    INSERT INTO settled_delivery AS s (message_id, endpoint_id, org_id, app_id, status, attempts)
    SELECT message_id, endpoint_id, org_id, app_id, min(final_status), sum(number) FROM (
        SELECT message_id, endpoint_id, org_id, app_id, final_status, number FROM held WHERE delay IS NULL
        UNION ALL
        SELECT message_id, endpoint_id, org_id, app_id, 0, row_attempts FROM ended WHERE row_lease IS NULL
    ) final
    GROUP BY message_id, endpoint_id, org_id, app_id  -- a manual and the scheduled delivery may end in one batch
    ORDER BY message_id, endpoint_id
    ON CONFLICT (message_id, endpoint_id) DO UPDATE
    SET status = CASE WHEN s.status = 0 THEN 0 ELSE excluded.status END, attempts = s.attempts + excluded.attempts
), tried AS (
    INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, channels, url, status, response,
                         response_status_code, duration_ms, trigger, number, error_type, trace_id, span_id,
                         request_headers, response_headers)
    SELECT attempt_id, org_id, app_id, message_id, endpoint_id, event_type, string_to_array(channels, ','), url, status,
           response, response_status_code, duration_ms, trigger, number, error_type, trace_id, span_id,
           request_headers, response_headers
    FROM held WHERE attempt_id IS NOT NULL
), counted AS (
    INSERT INTO endpoint_hour AS c (endpoint_id, hour, part, org_id, app_id, success, fail, canceled)
    SELECT endpoint_id, date_trunc('hour', now(), 'UTC'), pg_backend_pid() % 16, min(org_id), min(app_id),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND status = 0),
           count(*) FILTER (WHERE attempt_id IS NOT NULL AND status <> 0),
           count(*) FILTER (WHERE attempt_id IS NULL AND final_status <> 0)
    FROM held GROUP BY endpoint_id ORDER BY endpoint_id
    ON CONFLICT (endpoint_id, hour, part) DO UPDATE
    SET success = c.success + excluded.success, fail = c.fail + excluded.fail,
        canceled = c.canceled + excluded.canceled
), health AS (
    SELECT endpoint_id, bool_or(status = 0) AS succeeded,
           bool_or(status <> 0 AND trigger = 0 AND error_type IS DISTINCT FROM 'internal') AS failed,
           bool_or(gone) AS gone
    FROM held WHERE attempt_id IS NOT NULL GROUP BY endpoint_id
), changing AS MATERIALIZED (
    SELECT h.*, CASE WHEN h.gone THEN 'gone' ELSE 'failing' END AS why,
           h.gone OR (NOT h.succeeded AND coalesce(e.first_failure_at <= now() - $24::interval, false)) AS off
    FROM health h JOIN endpoint e ON e.id = h.endpoint_id
    WHERE CASE
        WHEN h.gone THEN NOT e.disabled
        WHEN h.succeeded THEN e.first_failure_at IS NOT NULL
        ELSE h.failed AND NOT e.disabled
             AND (e.first_failure_at IS NULL OR e.first_failure_at <= now() - $24::interval)
    END
    ORDER BY e.id FOR NO KEY UPDATE OF e
), judged AS (
    UPDATE endpoint e
    SET first_failure_at = CASE WHEN h.succeeded THEN NULL ELSE coalesce(e.first_failure_at, now()) END,
        disabled = e.disabled OR h.off, disabled_reason = CASE WHEN h.off THEN h.why ELSE e.disabled_reason END,
        disabled_at = CASE WHEN h.off THEN now() ELSE e.disabled_at END,
        updated_at = CASE WHEN h.off THEN now() ELSE e.updated_at END
    FROM changing h
    WHERE e.id = h.endpoint_id
    RETURNING e.id, e.disabled AND (h.gone OR NOT h.succeeded) AS disabled
{REST})
SELECT h.endpoint_id, h.message_id, h.resend, h.over, coalesce(j.disabled, false) AS switched_off
FROM held h LEFT JOIN judged j ON j.id = h.endpoint_id
"""


class Settlements:
    """Keeps what came of attempts. `attempted` is told of each attempt that was kept."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        bell: Bell,
        *,
        disable_after: timedelta,
        telemetry: DeliveryTelemetry,
        attempted: Callable[[ApplicationId, AttemptId], None],
    ) -> None:
        self._pool = pool
        self._bell = bell
        self._disable_after = disable_after
        self._telemetry = telemetry
        self._attempted = attempted
        self._group = GroupCommit[Settlement, Settled](
            self._commit, largest_batch=LARGEST_BATCH, most_waiting=MOST_WAITING
        )

    async def settle(self, settlement: Settlement) -> Settled:
        """Keep what came of an attempt, if its lease is still ours."""
        return await self._group.submit(settlement)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Settle while the block lasts."""
        async with self._group.running():
            yield

    async def _commit(self, batch: Sequence[Settlement]) -> list[Settled]:
        began = time.monotonic()
        with self._telemetry.batch("settle", (), size=len(batch)), unavailable_when_lost():
            rows = await self._settle(batch)
        self._tell_of_retries(batch, rows, began)
        applied = {(row["endpoint_id"], row["message_id"], row["resend"]): row["switched_off"] for row in rows}
        for settlement in batch:
            if settlement.attempt is not None and key(settlement.claim)[:3] in applied:
                self._attempted(settlement.claim.app_id, settlement.attempt.id)
        return [_settled(applied.get(key(settlement.claim)[:3])) for settlement in batch]

    def _tell_of_retries(self, batch: Sequence[Settlement], rows: Sequence[asyncpg.Record], began: float) -> None:
        """The first of them that is due. Its time counts from when the database began, which is after we did."""
        kept = {(row["endpoint_id"], row["message_id"], row["resend"]) for row in rows if not row["over"]}
        delays = [
            settlement.verdict.delay.total_seconds()
            for settlement in batch
            if isinstance(settlement.verdict, TryAgain) and key(settlement.claim)[:3] in kept
        ]
        if delays:
            self._bell.announce(min(delays) - (time.monotonic() - began))

    async def _settle(self, batch: Sequence[Settlement]) -> list[asyncpg.Record]:
        parameters = (*columns([_settle_row(settlement) for settlement in batch]), self._disable_after)
        if not may_be_news(batch):
            settled: list[asyncpg.Record] = await self._pool.fetch(SETTLE, *parameters)
            return settled
        async with self._pool.acquire() as connection, connection.transaction():
            settled = await connection.fetch(SETTLE, *parameters)
            over = {(row["endpoint_id"], row["message_id"], row["resend"]): row["over"] for row in settled}
            applied = [settlement for settlement in batch if _is_told(settlement, over)]
            switched_off = {row["endpoint_id"] for row in settled if row["switched_off"]}
            something = await tell(connection, applied, switched_off=switched_off)
        if something:
            self._bell.announce()
        return settled


def _settled(switched_off: bool | None) -> Settled:  # noqa: FBT001 - a column's value, not a switch
    return Settled(applied=switched_off is not None, endpoint_switched_off=bool(switched_off))


def _is_told(settlement: Settlement, over: Mapping[tuple[str, str, str], bool]) -> bool:
    """Whether it was applied, and is no failure of what another attempt has delivered."""
    mine = over.get(key(settlement.claim)[:3])
    return mine is not None and (not mine or isinstance(settlement.verdict, Delivered))


def key(claim: Claim) -> tuple[str, str, str, str]:
    """What tells a claim's row from all others, and its lease from all others of the row."""
    return (claim.endpoint_id, claim.message_id, claim.resend, claim.lease)


def columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """Rows as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]


def _settle_row(settlement: Settlement) -> tuple[object, ...]:
    claim, verdict, attempt = settlement.claim, settlement.verdict, settlement.attempt
    delay = verdict.delay.total_seconds() if isinstance(verdict, TryAgain) else None
    final = None if delay is not None else _final_status(settlement)
    head = (*key(claim), delay, final, settlement.endpoint_gone)
    if attempt is None:
        return (*head, *(None,) * 9, claim.attempt - 1, *(None,) * 6)
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
        attempt.span_id,
        None if settlement.rest is None else settlement.rest.total_seconds(),
        attempt_headers.written(attempt.request_headers),
        attempt_headers.written(attempt.response_headers),
    )


def _final_status(settlement: Settlement) -> Status:
    if isinstance(settlement.verdict, Delivered):
        return Status.SUCCESS
    return Status.FAIL if settlement.attempt else Status.CANCELED
