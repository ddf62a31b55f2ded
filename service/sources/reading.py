"""Reads all sources in this process: begins and ends readers as sources are created, changed and deleted.

A source whose broker fails is opened again after a pause, and says so in its report. Every process that serves reads
every source; the broker shares the messages between them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from structlog.contextvars import bound_contextvars

from service.application.intake import Submissions
from service.application.ports.machine import Clock, NewId
from service.application.ports.sources import BrokerLost, Consumers, OpenedSource, SourceConsumer, SourceLedger
from service.application.turns import first_of, take_turns
from service.domain.errors import Unavailable
from service.domain.ids import SourceId
from service.domain.retries import pauses
from service.domain.sources import ReaderReport, Reading
from service.observability.sources import SourceTelemetry
from service.sources.reader import Reader

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # until a broker is tried again
REPORT_INTERVAL_S = 10.0
STOP_TIMEOUT = timedelta(seconds=10)
OUR_FAULT = "Reading failed for a reason of Relevo's own, which its log has."

_log = structlog.stdlib.get_logger("relevo.sources")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A source that is being read, as it was when its reading began."""

    since: datetime
    task: "asyncio.Task[None]"
    stopping: asyncio.Event


class SourceReading:
    """Reads every enabled source while `running` lasts. `name` is this process's among the readers of a source."""

    def __init__(
        self,
        *,
        ledger: SourceLedger,
        consumers: Consumers,
        submissions: Submissions,
        telemetry: SourceTelemetry,
        clock: Clock,
        new_id: NewId,
        name: str,
    ) -> None:
        self._ledger = ledger
        self._consumers = consumers
        self._submissions = submissions
        self._telemetry = telemetry
        self._clock = clock
        self._new_id = new_id
        self._name = name
        self._lines: dict[SourceId, _Line] = {}
        self._stopping = asyncio.Event()

    @property
    def read(self) -> int:
        """How many sources this process reads, or tries to."""
        return len(self._lines)

    def stop(self) -> None:
        """Take no more messages from now on; what is under way is finished."""
        self._stopping.set()
        for line in self._lines.values():
            line.stopping.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Read while the block lasts. At its end, what is under way has some seconds to be committed."""
        loop = asyncio.create_task(self._run(), name="sources")
        try:
            yield loop
        finally:
            self.stop()
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            await self._end(list(self._lines))

    async def _run(self) -> None:
        await take_turns(self._turn, draining=self._stopping, log=_log, failure="source.postponed")

    async def _turn(self) -> None:
        await self._arrange(await self._ledger.enabled())
        await self._ledger.changed()

    async def _arrange(self, wanted: Sequence[OpenedSource]) -> None:
        """Read these sources, and no others."""
        versions = {each.source.id: each.source.updated_at for each in wanted}
        await self._end([known for known, line in self._lines.items() if versions.get(known) != line.since])
        for opened in wanted:
            if opened.source.id not in self._lines and not self._stopping.is_set():
                self._lines[opened.source.id] = self._begun(opened)

    def _begun(self, opened: OpenedSource) -> _Line:
        stopping = asyncio.Event()
        task = asyncio.create_task(self._keep_reading(opened, stopping), name=f"source {opened.source.id}")
        return _Line(since=opened.source.updated_at, task=task, stopping=stopping)

    async def _end(self, source_ids: Sequence[SourceId]) -> None:
        """End the reading of these sources: what is under way has some seconds."""
        lines = [self._lines.pop(source_id) for source_id in source_ids]
        for line in lines:
            line.stopping.set()
        if lines:
            _, late = await asyncio.wait({line.task for line in lines}, timeout=STOP_TIMEOUT.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _keep_reading(self, opened: OpenedSource, stopping: asyncio.Event) -> None:
        source = opened.source
        with bound_contextvars(source_id=source.id, org_id=source.org_id):
            pause = pauses(FIRST_PAUSE_S, longest=LONGEST_PAUSE_S)
            while not stopping.is_set():
                began = asyncio.get_running_loop().time()
                reason = await self._read(opened, stopping)
                if reason is None:
                    break
                _log.warning("source.lost", kind=source.kind.value, reason=reason)
                await self._report(source.id, Reading.RETRYING, reason=reason)
                if asyncio.get_running_loop().time() - began > LONGEST_PAUSE_S:
                    pause = pauses(FIRST_PAUSE_S, longest=LONGEST_PAUSE_S)
                await first_of(stopping.wait(), asyncio.sleep(next(pause)))
            await self._report(source.id, Reading.STOPPED)

    async def _read(self, opened: OpenedSource, stopping: asyncio.Event) -> str | None:
        """Read until told to stop, which returns None, or until the broker is lost, which returns why."""
        try:
            async with self._opened(opened) as consumer:
                await self._read_of(opened, consumer, stopping)
        except BrokerLost as lost:
            return lost.reason
        except ExceptionGroup as several:
            return _reason_of(several)
        except Exception:  # noqa: BLE001 - other sources go on, and this one is tried again
            _log.exception("source.failed")
            return OUR_FAULT
        return None

    def _opened(self, opened: OpenedSource) -> AbstractAsyncContextManager[SourceConsumer]:
        open_consumer = self._consumers.get(opened.source.kind)
        if open_consumer is None:
            kind = opened.source.kind
            raise BrokerLost(f"The client of {kind} is not installed here: install relevo[{kind}].")
        return open_consumer(opened.source, opened.origin)

    async def _read_of(self, opened: OpenedSource, consumer: SourceConsumer, stopping: asyncio.Event) -> None:
        _log.info("source.opened", kind=opened.source.kind.value)
        reader = Reader(
            opened.source,
            consumer,
            submissions=self._submissions,
            ledger=self._ledger,
            telemetry=self._telemetry,
            clock=self._clock,
            new_id=self._new_id,
            stopping=stopping,
        )
        try:
            async with asyncio.TaskGroup() as both:
                reports = both.create_task(self._keep_reporting(opened, consumer), name="source reports")
                await reader.run()
                reports.cancel()
        finally:
            self._telemetry.lags(opened.source, None)

    async def _keep_reporting(self, opened: OpenedSource, consumer: SourceConsumer) -> None:
        report = partial(self._report, opened.source.id, Reading.RUNNING)
        while True:
            lag = await consumer.lag()
            self._telemetry.lags(opened.source, lag)
            await report(lag=lag)
            await asyncio.sleep(REPORT_INTERVAL_S)

    async def _report(
        self, source_id: SourceId, state: Reading, *, reason: str | None = None, lag: int | None = None
    ) -> None:
        told = ReaderReport(reader=self._name, state=state, reason=reason, lag=lag, seen_at=self._clock.now())
        try:
            await self._ledger.report(source_id, told)
        except Unavailable:
            _log.warning("source.not_reported")
        except Exception:  # noqa: BLE001 - what is told of a reading must not end it
            _log.exception("source.not_reported")


def _reason_of(several: ExceptionGroup) -> str:
    """Why reading ended: the broker's reason, if there is one among these."""
    lost, others = several.split(BrokerLost)
    if others is not None:
        _log.error("source.failed", exc_info=others)
    while lost is not None:
        first = lost.exceptions[0]
        if isinstance(first, BrokerLost):
            return first.reason
        lost = first
    return OUR_FAULT
