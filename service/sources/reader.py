"""Reads one source in one process: takes messages, submits them together, and acknowledges what is committed.

Batches go side by side, so that the next one is fetched while one commits. A message that cannot be kept for now stays
in its batch; once every place is taken by such batches, nothing is fetched any more.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

import structlog

from service.application.broker_messages import submission_of
from service.application.intake import Deferred, Kept, Receipt, Rejected, SameAgain, Submissions
from service.application.ports.machine import Clock, NewId
from service.application.ports.sources import SourceConsumer, SourceLedger
from service.application.turns import first_of
from service.domain import ids
from service.domain.broker_messages import APPLICATION, EVENT_ID, EVENT_TYPE, BrokerMessage
from service.domain.errors import Busy, Invalid, RelevoError, Unavailable
from service.domain.retries import pauses
from service.domain.sources import FAULT_TEXT_CHARACTERS, Source, SourceFault
from service.observability.sources import Outcome, SourceTelemetry

BATCH_MESSAGES = 256
BATCH_BYTES = 4 * 1024 * 1024  # that the next batch should have, by the size of the messages before
BATCHES_AT_ONCE = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0  # until deferred messages are submitted again
MAX_FAILURES = 5  # of ours with one message; then it is refused, so that it does not hold up the others

_log = structlog.stdlib.get_logger("relevo.sources")


class BrokenMessage(RelevoError):
    """The message failed several times for a reason of our own, which the log has."""

    code = "generic_error"
    detail = "The message could not be kept, for a reason of Relevo's own."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sorted:
    """Messages of a batch, by what became of them."""

    decided: list[BrokerMessage] = field(default_factory=list)
    refused: list[tuple[BrokerMessage, RelevoError]] = field(default_factory=list)
    waiting: list[BrokerMessage] = field(default_factory=list)


class Reader:
    """Reads one source while `run` lasts. `stopping` ends it: what is under way is finished, what waits is left."""

    def __init__(
        self,
        source: Source,
        consumer: SourceConsumer,
        *,
        submissions: Submissions,
        ledger: SourceLedger,
        telemetry: SourceTelemetry,
        clock: Clock,
        new_id: NewId,
        stopping: asyncio.Event,
    ) -> None:
        self._source = source
        self._consumer = consumer
        self._submissions = submissions
        self._ledger = ledger
        self._telemetry = telemetry
        self._clock = clock
        self._new_id = new_id
        self._stopping = stopping
        self._most = BATCH_MESSAGES
        self._failures: Counter[str] = Counter()

    async def run(self) -> None:
        """Read until told to stop. Raises what the consumer raises, as a group."""
        places = asyncio.Semaphore(BATCHES_AT_ONCE)
        async with asyncio.TaskGroup() as batches:
            while not self._stopping.is_set():
                await places.acquire()
                messages = [] if self._stopping.is_set() else await self._consumer.fetch(self._most)
                if not messages:
                    places.release()
                    continue
                self._measure(messages)
                batch = batches.create_task(self._take(messages), name="source batch")
                batch.add_done_callback(lambda _: places.release())

    def _measure(self, messages: Sequence[BrokerMessage]) -> None:
        """Fetch fewer the next time, if these were large."""
        size = sum(len(message.body) for message in messages) / len(messages)
        self._most = max(1, min(BATCH_MESSAGES, int(BATCH_BYTES / max(size, 1))))

    async def _take(self, messages: Sequence[BrokerMessage]) -> None:
        waiting, pause = list(messages), pauses(FIRST_PAUSE_S, longest=LONGEST_PAUSE_S)
        while waiting:
            found = await self._submitted(waiting)
            found.waiting.extend(await self._bury(found))
            await self._consumer.acknowledge(found.decided)
            waiting = found.waiting
            if not waiting or self._stopping.is_set():
                return
            await self._consumer.hold(waiting)
            await first_of(self._stopping.wait(), asyncio.sleep(next(pause)))

    async def _submitted(self, messages: Sequence[BrokerMessage]) -> _Sorted:
        """What became of the messages: submitted together, so that they share commits."""
        receipts = await asyncio.gather(*(self._submit(message) for message in messages))
        found = _Sorted()
        for message, receipt in zip(messages, receipts, strict=True):
            match receipt:
                case Kept() | SameAgain():
                    found.decided.append(message)
                case Rejected(error):
                    found.refused.append((message, error))
                case Deferred():
                    found.waiting.append(message)
                case _:
                    assert_never(receipt)
        self._telemetry.received(self._source, Counter(_word(receipt) for receipt in receipts))
        return found

    async def _submit(self, message: BrokerMessage) -> Receipt:
        with self._telemetry.receiving(self._source, message) as told:
            receipt = await self._receipt(message)
            told.decided(_word(receipt), error=receipt.error.code if isinstance(receipt, Rejected | Deferred) else None)
        return receipt

    async def _receipt(self, message: BrokerMessage) -> Receipt:
        try:
            return await self._submissions.take(submission_of(self._source, message))
        except Invalid as error:
            return Rejected(error)
        except Exception as error:  # noqa: BLE001 - one message must not end the reading of all others
            return self._failed(message, error)

    def _failed(self, message: BrokerMessage, error: Exception) -> Receipt:
        self._failures[message.position] += 1
        failures = self._failures[message.position]
        _log.error("source.failed", position=message.position, failures=failures, exc_info=error)
        if failures < MAX_FAILURES:
            return Deferred(Busy(), 1)
        del self._failures[message.position]
        return Rejected(BrokenMessage())

    async def _bury(self, found: _Sorted) -> list[BrokerMessage]:
        """Send the refused messages to the dead letters and store their faults. Returns those that have to wait, since
        the database is away."""
        if not found.refused:
            return []
        for message, error in found.refused:
            await self._consumer.bury(message, f"{error.code}: {error.detail}")
        messages = [message for message, _ in found.refused]
        try:
            await self._ledger.refuse(self._source.id, [self._fault(*refused) for refused in found.refused])
        except Unavailable:
            return messages
        found.decided.extend(messages)
        return []

    def _fault(self, message: BrokerMessage, error: RelevoError) -> SourceFault:
        now = self._clock.now()
        said = message.headers
        return SourceFault(
            id=self._new_id(ids.SOURCE_FAULT, at=now),
            position=message.position,
            application=_short(self._source.application or said.get(APPLICATION)),
            event_type=_short(self._source.event_type or said.get(EVENT_TYPE)),
            event_id=_short(said.get(EVENT_ID) or message.event_id),
            code=error.code,
            detail=error.detail,
            created_at=now,
        )


def _word(receipt: Receipt) -> Outcome:
    match receipt:
        case Kept():
            return "accepted"
        case SameAgain():
            return "repeated"
        case Rejected():
            return "refused"
        case Deferred():
            return "deferred"
        case _:
            assert_never(receipt)


def _short(text: str | None) -> str | None:
    """The text as it can be stored: without NUL, and not longer than what a person reads."""
    return None if text is None else text.replace("\x00", "\ufffd")[:FAULT_TEXT_CHARACTERS]
