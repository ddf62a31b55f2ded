"""Sends a batch to an ordered destination, and records it in trace, metrics and log. No transaction is open during the
call."""

import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from service.application.ports.destinations import BatchSender, BatchSenders
from service.application.ports.machine import Clock
from service.application.ports.ordered import OrderedClaim
from service.domain.batches import Batch, BatchResult, StreamMessage
from service.domain.ordered import Setback, Standing, setback
from service.domain.outcomes import our_fault
from service.domain.retries import Schedule
from service.domain.sinks import PollingSink, Sink
from service.observability.ordered import BatchTelemetry

_log = structlog.stdlib.get_logger("relevo.ordered")


class Batches:
    """Sends to every kind of ordered destination in `senders`."""

    def __init__(
        self,
        *,
        senders: BatchSenders,
        clock: Clock,
        telemetry: BatchTelemetry,
        schedule: Schedule,
        disable_after: timedelta,
    ) -> None:
        self._senders = senders
        self._clock = clock
        self._telemetry = telemetry
        self._schedule = schedule
        self._disable_after = disable_after

    async def send(
        self, claim: OrderedClaim, messages: Sequence[StreamMessage], standing: Standing
    ) -> tuple[int, Setback | None]:
        """Send the messages once; returns how many were taken, and the setback unless all were."""
        at = self._clock.now()
        with self._telemetry.sending(claim.destination, messages, at=at) as told:
            result = await self._send(claim, messages, told.context_for_receiver())
            setback = self._judge(result, len(messages), standing, at)
            told.sent(result, setback)
        return result.taken, setback

    def passed(self, claim: OrderedClaim, count: int) -> None:
        """Messages were left out, since their payloads are not kept any more."""
        self._telemetry.expired(claim.destination, count)

    async def _send(
        self, claim: OrderedClaim, messages: Sequence[StreamMessage], traced: dict[str, str]
    ) -> BatchResult:
        began = time.perf_counter()
        destination = claim.destination
        try:
            batch = Batch(
                app_id=destination.app_id,
                destination_id=destination.id,
                messages=tuple(messages),
                headers=traced,
                size=destination.batch_size,
                secrets=claim.secrets,
            )
            return await self._sender_of(destination.sink).send(destination.sink, batch)
        except Exception:  # noqa: BLE001 - without a result the batch would be sent for ever, unseen
            _log.exception("batch.failed", destination_id=destination.id)
            return BatchResult(taken=0, outcome=our_fault(timedelta(seconds=time.perf_counter() - began)))

    def _sender_of(self, sink: Sink) -> BatchSender[Any]:
        if isinstance(sink, PollingSink):
            raise TypeError("a polled destination is not sent anything")
        return self._senders[type(sink)]

    def _judge(self, result: BatchResult, size: int, standing: Standing, at: datetime) -> Setback | None:
        if result.taken >= size:
            return None
        return setback(
            Standing() if result.taken else standing,
            result.outcome,
            at=at,
            schedule=self._schedule,
            disable_after=self._disable_after,
            chance=random.random(),  # noqa: S311 - jitter, not a secret
        )
