"""One attempt: sign, send, judge, settle. No transaction is held while the receiver takes its time.

What breaks on our side is an attempt too: counted, told to the tenant as internal, and tried again by the schedule.
"""

import asyncio
import random
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from opentelemetry.trace import SpanContext

from service.application.ports.destinations import Sender
from service.application.ports.machine import Clock, NewId
from service.application.ports.queue import DeliveryQueue, Settled, Settlement
from service.application.signing import Signing
from service.domain import ids, retries
from service.domain.addresses import address
from service.domain.deliveries import Attempt, Claim, ErrorType, Failed, Outcome, Trigger, attempt_of
from service.domain.errors import Unavailable
from service.domain.ids import AttemptId
from service.domain.retries import Canceled, Delivered, Exhausted, Schedule, TryAgain, Verdict
from service.observability.attempts import TracedAttempt
from service.observability.deliveries import DeliveryTelemetry

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
OUR_FAULT = "The attempt failed on our side."

_log = structlog.stdlib.get_logger("relevo.delivery")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What came of a claim. `outcome` is None when it says nothing of the receiver, `span` when nothing was tried."""

    settlement: Settlement
    outcome: Outcome | None = None
    span: SpanContext | None = None


class Courier:
    """Carries one claimed delivery to its receiver and keeps what came of it.

    `patience` bounds how long it tries to keep an outcome when the database is away: after the lease's end another
    worker has the delivery anyway.
    """

    def __init__(
        self,
        *,
        queue: DeliveryQueue,
        sender: Sender,
        clock: Clock,
        new_id: NewId,
        telemetry: DeliveryTelemetry,
        schedule: Schedule,
        signing: Signing,
        patience: timedelta,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._new_id = new_id
        self._telemetry = telemetry
        self._schedule = schedule
        self._signing = signing
        self._patience = patience

    async def carry(self, claim: Claim) -> Outcome | None:
        """Attempt the delivery once. What came of it, or None when that says nothing of the receiver."""
        made = await self._made(claim)
        with self._telemetry.settling(claim, after=made.span):
            settled = await self._keep(made.settlement)
        if not settled.applied:
            self._telemetry.came_too_late(claim)
        if settled.endpoint_switched_off:
            self._telemetry.endpoint_switched_off(claim, "gone" if made.settlement.endpoint_gone else "failing")
        return made.outcome

    async def _made(self, claim: Claim) -> _Made:
        if claim.delivered:
            return _Made(settlement=Settlement(claim=claim, verdict=Delivered(), attempt=None))
        reason = _why_not_send(claim)
        return await self._attempt(claim) if reason is None else self._cancel(claim, reason)

    async def _attempt(self, claim: Claim) -> _Made:
        started_at = self._clock.now()
        with self._telemetry.attempting(claim, at=started_at) as told:
            with told.calling("POST", **address(claim.url)):
                outcome = await self._send(claim, started_at, told.context_for_receiver())
            verdict = self._judge(claim, outcome)
            attempt = self._attempt_record(claim, outcome, started_at, told)
            told.attempted(outcome, verdict=verdict, number=claim.attempt, now=self._clock.now())
        settlement = Settlement(claim=claim, verdict=verdict, attempt=attempt, rest=retries.rest(outcome))
        return _Made(settlement=settlement, outcome=None if _is_ours(outcome) else outcome, span=told.context)

    def _cancel(self, claim: Claim, reason: str) -> _Made:
        self._telemetry.canceled(claim, reason)
        return _Made(settlement=Settlement(claim=claim, verdict=Canceled(reason=reason), attempt=None))

    async def _send(self, claim: Claim, at: datetime, traced: dict[str, str]) -> Outcome:
        began = time.perf_counter()
        try:
            body = claim.payload or b""
            signed = self._signing.headers(claim.secrets, message_id=claim.message_id, at=at, body=body)
            headers = {**_content_type(claim), **claim.headers, **traced, **signed}
            return await self._sender.send(url=claim.url, headers=headers, body=body)
        except Exception:  # noqa: BLE001 - without an outcome the delivery would be tried for ever, and nobody told
            _log.exception("attempt.failed", message_id=claim.message_id, endpoint_id=claim.endpoint_id)
            duration = timedelta(seconds=time.perf_counter() - began)
            return Failed(error_type=ErrorType.INTERNAL, message=OUR_FAULT, duration=duration)

    def _judge(self, claim: Claim, outcome: Outcome) -> Verdict:
        chance = random.random()  # noqa: S311 - it spreads load and guards nothing
        verdict = retries.judge(outcome, attempt=claim.attempt, schedule=self._schedule, chance=chance)
        if claim.trigger is Trigger.MANUAL and isinstance(verdict, TryAgain):
            return Exhausted(reason="manual")
        return verdict

    def _attempt_record(self, claim: Claim, outcome: Outcome, started_at: datetime, told: TracedAttempt) -> Attempt:
        attempt_id = AttemptId(self._new_id(ids.ATTEMPT, at=started_at))
        return attempt_of(
            claim, outcome, id=attempt_id, started_at=started_at, trace_id=told.trace_id, span_id=told.span_id
        )

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
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._queue.settle(settlement)
            except Unavailable:
                if time.monotonic() >= give_up_at:
                    raise
                _log.warning("settlement.postponed", message_id=settlement.claim.message_id, seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def _without_words(attempt: Attempt) -> Attempt:
    return replace(attempt, response="", response_headers=())


def _content_type(claim: Claim) -> dict[str, str]:
    return {} if claim.content_type is None else {"Content-Type": claim.content_type}


def _is_ours(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.error_type is ErrorType.INTERNAL


def _why_not_send(claim: Claim) -> str | None:
    if not claim.endpoint_active:
        return "endpoint_disabled"
    return "payload_removed" if claim.payload is None else None
