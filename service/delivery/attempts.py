"""Makes an attempt (sign, send, judge, record) and settles its delivery. No transaction is open during the call.

A fault of ours also counts as an attempt: its error type is `internal`, and it is retried by the schedule.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from opentelemetry.trace import SpanContext

from service.application.ports.destinations import Senders
from service.application.ports.machine import Clock, NewId
from service.application.ports.queue import DeliveryQueue
from service.domain import ids, retries
from service.domain.deliveries import Attempt, Claim, Settled, Settlement, Trigger, attempt_of, why_not_send
from service.domain.destinations import Parcel
from service.domain.errors import Unavailable
from service.domain.ids import AttemptId
from service.domain.outcomes import Outcome, is_our_fault, our_fault
from service.domain.retries import Canceled, Delivered, Exhausted, Schedule, TryAgain, Verdict
from service.domain.signatures import Signing
from service.observability.attempts import TracedAttempt
from service.observability.deliveries import DeliveryTelemetry

MIN_BACKOFF_S = 0.1
MAX_BACKOFF_S = 2.0

_log = structlog.stdlib.get_logger("relevo.delivery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An attempt with its outcome, the verdict on it, and its span."""

    attempt: Attempt
    outcome: Outcome
    verdict: Verdict
    span: SpanContext


class Attempts:
    """Makes attempts to every kind of destination in `senders`, for the engine and for `send-example`."""

    def __init__(
        self,
        *,
        senders: Senders,
        clock: Clock,
        new_id: NewId,
        telemetry: DeliveryTelemetry,
        schedule: Schedule,
        signing: Signing,
    ) -> None:
        self._senders = senders
        self._clock = clock
        self._new_id = new_id
        self._telemetry = telemetry
        self._schedule = schedule
        self._signing = signing

    async def once(self, claim: Claim) -> Attempt:
        """Make one attempt and return it as it will be read later, with its time rounded as in its id."""
        made = await self.make(claim)
        return replace(made.attempt, started_at=ids.time_of(made.attempt.id))

    async def make(self, claim: Claim) -> Made:
        """Make one attempt: sign, send, judge, and record it in traces, metrics and log."""
        started_at = self._clock.now()
        with self._telemetry.attempting(claim, at=started_at) as told:
            with told.calling(claim.destination):
                outcome = await self._send(claim, started_at, told.context_for_receiver())
            verdict = self._judge(claim, outcome)
            attempt = self._record(claim, outcome, started_at, told)
            told.attempted(outcome, verdict=verdict, number=claim.attempt, now=self._clock.now())
        return Made(attempt=attempt, outcome=outcome, verdict=verdict, span=told.context)

    async def _send(self, claim: Claim, at: datetime, traced: dict[str, str]) -> Outcome:
        began = time.perf_counter()
        try:
            parcel = self._parcel(claim, at, traced)
            return await self._senders[type(claim.destination)].send(claim.destination, parcel)
        except Exception:  # noqa: BLE001 - without an outcome the delivery would be attempted for ever, unseen
            _log.exception("attempt.failed", message_id=claim.message_id, endpoint_id=claim.endpoint_id)
            return our_fault(timedelta(seconds=time.perf_counter() - began))

    def _parcel(self, claim: Claim, at: datetime, traced: dict[str, str]) -> Parcel:
        body = claim.payload or b""
        signed = self._signing.headers(claim.secrets, message_id=claim.message_id, at=at, body=body)
        return Parcel(
            message_id=claim.message_id, body=body, headers={**traced, **signed}, content_type=claim.content_type
        )

    def _judge(self, claim: Claim, outcome: Outcome) -> Verdict:
        chance = random.random()  # noqa: S311 - jitter, not a secret
        verdict = retries.judge(outcome, attempt=claim.attempt, schedule=self._schedule, chance=chance)
        if claim.trigger is Trigger.MANUAL and isinstance(verdict, TryAgain):
            return Exhausted(reason="manual")
        return verdict

    def _record(self, claim: Claim, outcome: Outcome, started_at: datetime, told: TracedAttempt) -> Attempt:
        attempt_id = AttemptId(self._new_id(ids.ATTEMPT, at=started_at))
        return attempt_of(
            claim, outcome, id=attempt_id, started_at=started_at, trace_id=told.trace_id, span_id=told.span_id
        )


class Courier:
    """Attempts one claimed delivery and settles it.

    `give_up_after` bounds the retries of a settlement while the database is away: after the lease's end another
    worker claims the delivery anyway.
    """

    def __init__(
        self, *, queue: DeliveryQueue, attempts: Attempts, telemetry: DeliveryTelemetry, give_up_after: timedelta
    ) -> None:
        self._queue = queue
        self._attempts = attempts
        self._telemetry = telemetry
        self._give_up_after = give_up_after

    async def carry(self, claim: Claim, judged: Callable[[Outcome | None], None]) -> None:
        """Attempt the delivery once, call `judged` with the outcome (None if it says nothing about the receiver), and
        settle it."""
        ended = self._ended(claim)
        if ended is not None:
            judged(None)
            await self._conclude(Settlement(claim=claim, verdict=ended, attempt=None), after=None)
            return
        made = await self._attempts.make(claim)
        judged(None if is_our_fault(made.outcome) else made.outcome)
        rest = retries.rest(made.outcome)
        settlement = Settlement(claim=claim, verdict=made.verdict, attempt=made.attempt, rest=rest)
        await self._conclude(settlement, after=made.span)

    def _ended(self, claim: Claim) -> Delivered | Canceled | None:
        """The verdict on a delivery that ends without an attempt; None when an attempt has to be made."""
        if claim.delivered:
            return Delivered()
        reason = why_not_send(claim)
        if reason is None:
            return None
        self._telemetry.canceled(claim, reason)
        return Canceled(reason=reason)

    async def _conclude(self, settlement: Settlement, *, after: SpanContext | None) -> None:
        claim = settlement.claim
        with self._telemetry.settling(claim, after=after):
            settled = await self._keep(settlement)
        if not settled.applied:
            self._telemetry.came_too_late(claim)
        if settled.endpoint_switched_off:
            self._telemetry.endpoint_switched_off(claim, "gone" if settlement.endpoint_gone else "failing")

    async def _keep(self, settlement: Settlement) -> Settled:
        """Settle. If the database refuses the attempt's row, settle without the receiver's own text and headers."""
        try:
            return await self._settle(settlement)
        except Unavailable:
            raise
        except Exception:
            if settlement.attempt is None:
                raise
            _log.exception("settlement.refused", message_id=settlement.claim.message_id)
            return await self._settle(replace(settlement, attempt=_without_receiver_text(settlement.attempt)))

    async def _settle(self, settlement: Settlement) -> Settled:
        """Settle, retrying with back-off for as long as the lease may hold. Raises Unavailable after that."""
        # The monotonic clock: if the wall clock were set back, retries would go on long after the lease's end.
        give_up_at = time.monotonic() + self._give_up_after.total_seconds()
        pauses = retries.pauses(MIN_BACKOFF_S, longest=MAX_BACKOFF_S)
        while True:
            try:
                return await self._queue.settle(settlement)
            except Unavailable:
                if time.monotonic() >= give_up_at:
                    raise
                pause = next(pauses)
                _log.warning("settlement.postponed", message_id=settlement.claim.message_id, seconds=pause)
            await asyncio.sleep(pause)


def _without_receiver_text(attempt: Attempt) -> Attempt:
    return replace(attempt, response="", response_headers=())
