"""Settles attempts by group commit: one statement per batch stores the outcomes whose leases still hold."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from service.adapters.postgres.queue.operational_webhooks import may_be_news, tell
from service.adapters.postgres.server.columns import write_pairs, write_rows
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.group_commit import GroupCommit
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.wakeups import Bell
from service.domain.deliveries import Claim, Settled, Settlement, Status
from service.domain.health import MAX_REST, MAX_REST_COUNT, MIN_REST, REST_SPREAD
from service.domain.ids import ApplicationId, AttemptId
from service.domain.retries import Delivered, TryAgain
from service.observability.deliveries import DeliveryTelemetry

MAX_BATCH_ROWS = 256
LINGER_S = 0.03  # nobody waits for a settlement but the row
MAX_QUEUED_SETTLEMENTS = (
    100_000  # never reached: the engine's capacity is the bound, and no made attempt may be refused
)

SETTLE = beside(__name__)["settle"]


class Settlements:
    """Stores the outcomes of attempts. `attempted` is called for each stored attempt."""

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
            self._commit, largest_batch=MAX_BATCH_ROWS, most_waiting=MAX_QUEUED_SETTLEMENTS, linger=LINGER_S
        )

    async def settle(self, settlement: Settlement) -> Settled:
        """Store the outcome of an attempt, if its lease is still ours. Raises Unavailable."""
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
        self._announce_earliest_retry(batch, rows, began)
        applied = {(row["endpoint_id"], row["message_id"], row["resend"]): row["switched_off"] for row in rows}
        for settlement in batch:
            if settlement.attempt is not None and key(settlement.claim)[:3] in applied:
                self._attempted(settlement.claim.app_id, settlement.attempt.id)
        return [_settled(applied.get(key(settlement.claim)[:3])) for settlement in batch]

    def _announce_earliest_retry(
        self, batch: Sequence[Settlement], rows: Sequence[asyncpg.Record], began: float
    ) -> None:
        """Announce the earliest retry of the batch. Its delay counts from the statement's start, which is after
        `began`."""
        kept = {(row["endpoint_id"], row["message_id"], row["resend"]) for row in rows if not row["over"]}
        delays = [
            settlement.verdict.delay.total_seconds()
            for settlement in batch
            if isinstance(settlement.verdict, TryAgain) and key(settlement.claim)[:3] in kept
        ]
        if delays:
            self._bell.announce(min(delays) - (time.monotonic() - began))

    async def _settle(self, batch: Sequence[Settlement]) -> list[asyncpg.Record]:
        statement = settling(batch, disable_after=self._disable_after)
        if not may_be_news(batch):
            settled: list[asyncpg.Record] = await self._pool.fetch(*statement)
            return settled
        async with self._pool.acquire() as connection, connection.transaction():
            settled = await connection.fetch(*statement)
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
    """Whether it may cause a webhook: it was applied, and is no failure of an already delivered message."""
    mine = over.get(key(settlement.claim)[:3])
    return mine is not None and (not mine or isinstance(settlement.verdict, Delivered))


def key(claim: Claim) -> tuple[str, str, str, str]:
    """The primary key of the claim's row, and its lease."""
    return (claim.endpoint_id, claim.message_id, claim.resend, claim.lease)


def settling(batch: Sequence[Settlement], *, disable_after: timedelta) -> tuple[object, ...]:
    """The settle statement with the parameters for these settlements."""
    return SETTLE(
        rows=write_rows([_settle_row(settlement) for settlement in batch]),
        size=len(batch),
        disable_after=disable_after,
        first_rest=MIN_REST.total_seconds(),
        longest_rest=MAX_REST.total_seconds(),
        rest_spread=REST_SPREAD,
        most_rests=MAX_REST_COUNT,
    )


def _settle_row(settlement: Settlement) -> dict[str, object]:
    claim, verdict, attempt = settlement.claim, settlement.verdict, settlement.attempt
    delay = verdict.delay.total_seconds() if isinstance(verdict, TryAgain) else None
    final = None if delay is not None else _final_status(settlement)
    head: dict[str, object] = {
        "endpoint_id": claim.endpoint_id,
        "message_id": claim.message_id,
        "resend": claim.resend,
        "lease": claim.lease,
        "delay": delay,
        "final_status": final,
    }
    if attempt is None:
        return head | {"number": claim.attempt - 1}
    return head | {
        "attempt_id": attempt.id,
        "event_type": claim.event_type,
        "channels": ",".join(claim.channels) if claim.channels else None,
        "url": attempt.destination.shown,
        "gone_from": attempt.destination.url if settlement.endpoint_gone else None,
        "status": attempt.status,
        "response": attempt.response,
        "response_status_code": attempt.response_status_code,
        "duration_ms": attempt.duration_ms,
        "trigger": attempt.trigger,
        "number": attempt.number,
        "error_type": attempt.error_type,
        "trace_id": attempt.trace_id,
        "span_id": attempt.span_id,
        "rest": None if settlement.rest is None else settlement.rest.total_seconds(),
        "request_headers": write_pairs(attempt.request_headers),
        "response_headers": write_pairs(attempt.response_headers),
    }


def _final_status(settlement: Settlement) -> Status:
    if isinstance(settlement.verdict, Delivered):
        return Status.SUCCESS
    return Status.FAIL if settlement.attempt else Status.CANCELED
