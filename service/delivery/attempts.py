"""One attempt: sign, send, judge, settle. No transaction is held while the receiver takes its time."""

import asyncio
import random
from datetime import datetime, timedelta

import structlog

from service.application.ports.engine import DeliveryQueue, Sender, Settled, Settlement
from service.application.ports.world import Clock, NewId
from service.application.signing import Signing
from service.domain import ids, retries
from service.domain.addresses import address
from service.domain.deliveries import Attempt, Claim, Outcome, Trigger, attempt_of
from service.domain.errors import Unavailable
from service.domain.ids import AttemptId
from service.domain.retries import Canceled, Exhausted, Schedule, TryAgain, Verdict
from service.observability.deliveries import DeliveryTelemetry

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


_log = structlog.stdlib.get_logger("relevo.delivery")


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
        """Attempt the delivery once, whatever the receiver does. What came of it, or None when nothing was sent."""
        reason = _why_not_send(claim)
        settlement, outcome = await self._attempt(claim) if reason is None else (self._cancel(claim, reason), None)
        settled = await self._keep(settlement)
        if not settled.applied:
            self._telemetry.came_too_late(claim)
        if settled.endpoint_switched_off:
            self._telemetry.endpoint_switched_off(claim, "gone" if settlement.endpoint_gone else "failing")
        return outcome

    async def _attempt(self, claim: Claim) -> tuple[Settlement, Outcome]:
        started_at = self._clock.now()
        with self._telemetry.attempting(claim, at=started_at) as told:
            with told.calling("POST", **address(claim.url)):
                outcome = await self._send(claim, started_at)
            verdict = self._judge(claim, outcome)
            attempt = self._attempt_record(claim, outcome, started_at, trace_id=told.trace_id)
            told.attempted(outcome, verdict=verdict, number=claim.attempt, now=self._clock.now())
        return Settlement(claim=claim, verdict=verdict, attempt=attempt), outcome

    def _cancel(self, claim: Claim, reason: str) -> Settlement:
        self._telemetry.canceled(claim, reason)
        return Settlement(claim=claim, verdict=Canceled(reason=reason), attempt=None)

    async def _send(self, claim: Claim, at: datetime) -> Outcome:
        body = claim.payload or b""
        signed = self._signing.headers(claim.secrets, message_id=claim.message_id, at=at, body=body)
        return await self._sender.send(url=claim.url, headers={**claim.headers, **signed}, body=body)

    def _judge(self, claim: Claim, outcome: Outcome) -> Verdict:
        chance = random.random()  # noqa: S311 - it spreads load and guards nothing
        verdict = retries.judge(outcome, attempt=claim.attempt, schedule=self._schedule, chance=chance)
        if claim.trigger is Trigger.MANUAL and isinstance(verdict, TryAgain):
            return Exhausted(reason="manual")
        return verdict

    def _attempt_record(self, claim: Claim, outcome: Outcome, started_at: datetime, *, trace_id: str | None) -> Attempt:
        attempt_id = AttemptId(self._new_id(ids.ATTEMPT, at=started_at))
        return attempt_of(claim, outcome, id=attempt_id, started_at=started_at, trace_id=trace_id)

    async def _keep(self, settlement: Settlement) -> Settled:
        """Settle, and try again for as long as the lease may hold: an attempt that was made should be told."""
        give_up_at = self._clock.now() + self._patience
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._queue.settle(settlement)
            except Unavailable:
                if self._clock.now() >= give_up_at:
                    raise
                _log.warning("settlement.postponed", message_id=settlement.claim.message_id, seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def _why_not_send(claim: Claim) -> str | None:
    if not claim.endpoint_active:
        return "endpoint_disabled"
    return "payload_removed" if claim.payload is None else None
