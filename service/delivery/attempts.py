"""One attempt: sign, send, judge, tell; and of a delivery that is owed, settle. No transaction is held meanwhile.

What breaks on our side is an attempt too: counted, told to the tenant as internal, and tried again by the schedule.
"""

import asyncio
import random
import time
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

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0

_log = structlog.stdlib.get_logger("relevo.delivery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An attempt that was made, what came of it, and the span that tells of it."""

    attempt: Attempt
    outcome: Outcome
    verdict: Verdict
    span: SpanContext


class Attempts:
    """Makes attempts at destinations of every kind that `senders` knows, whoever wanted them."""

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
        """Make one for somebody who waits for it: the attempt as it will be read again, with the time in its id."""
        made = await self.make(claim)
        return replace(made.attempt, started_at=ids.time_of(made.attempt.id))

    async def make(self, claim: Claim) -> Made:
        """Sign, send, judge, and tell of it."""
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
        except Exception:  # noqa: BLE001 - without an outcome the delivery would be tried for ever, and nobody told
            _log.exception("attempt.failed", message_id=claim.message_id, endpoint_id=claim.endpoint_id)
            return our_fault(timedelta(seconds=time.perf_counter() - began))

    def _parcel(self, claim: Claim, at: datetime, traced: dict[str, str]) -> Parcel:
        body = claim.payload or b""
        signed = self._signing.headers(claim.secrets, message_id=claim.message_id, at=at, body=body)
        return Parcel(
            message_id=claim.message_id, body=body, headers={**traced, **signed}, content_type=claim.content_type
        )

    def _judge(self, claim: Claim, outcome: Outcome) -> Verdict:
        chance = random.random()  # noqa: S311 - it spreads load and guards nothing
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
    """Carries one claimed delivery to its receiver and keeps what came of it.

    `patience` bounds how long it tries to keep an outcome when the database is away: after the lease's end another
    worker has the delivery anyway.
    """

    def __init__(
        self, *, queue: DeliveryQueue, attempts: Attempts, telemetry: DeliveryTelemetry, patience: timedelta
    ) -> None:
        self._queue = queue
        self._attempts = attempts
        self._telemetry = telemetry
        self._patience = patience

    async def carry(self, claim: Claim) -> Outcome | None:
        """Attempt the delivery once. What came of it, or None when that says nothing of the receiver."""
        ended = self._ended(claim)
        if ended is not None:
            await self._conclude(Settlement(claim=claim, verdict=ended, attempt=None), after=None)
            return None
        made = await self._attempts.make(claim)
        rest = retries.rest(made.outcome)
        settlement = Settlement(claim=claim, verdict=made.verdict, attempt=made.attempt, rest=rest)
        await self._conclude(settlement, after=made.span)
        return None if is_our_fault(made.outcome) else made.outcome

    def _ended(self, claim: Claim) -> Delivered | Canceled | None:
        """How the delivery ends without an attempt; None when one has to be made."""
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
        """Settle; if something in the receiver's words prevents it, without them."""
        try:
            return await self._settle(settlement)
        except Unavailable:
            raise
        except Exception:
            if settlement.attempt is None:
                raise
            _log.exception("settlement.refused", message_id=settlement.claim.message_id)
            return await self._settle(replace(settlement, attempt=_without_words(settlement.attempt)))

    async def _settle(self, settlement: Settlement) -> Settled:
        """Try for as long as the lease may hold: an attempt that was made should be told."""
        # Not by the clock on the wall: one that is set back would have us try on long after the lease's end.
        give_up_at = time.monotonic() + self._patience.total_seconds()
        pauses = retries.pauses(FIRST_PAUSE, longest=LONGEST_PAUSE)
        while True:
            try:
                return await self._queue.settle(settlement)
            except Unavailable:
                if time.monotonic() >= give_up_at:
                    raise
                pause = next(pauses)
                _log.warning("settlement.postponed", message_id=settlement.claim.message_id, seconds=pause)
            await asyncio.sleep(pause)


def _without_words(attempt: Attempt) -> Attempt:
    return replace(attempt, response="", response_headers=())
