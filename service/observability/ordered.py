"""The telemetry of ordered destinations: one span, one line and one metric point a batch, from the same values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from structlog.contextvars import bind_contextvars, reset_contextvars

from service.domain.batches import BatchResult, StreamMessage
from service.domain.endpoints import wants_trace
from service.domain.ordered import OrderedDestination, Setback
from service.domain.outcomes import error_label
from service.observability.correlation import context_of, traceparent
from service.observability.metrics import BatchOutcome
from service.observability.telemetry import Telemetry

SAME_TRACE_WINDOW: Final = timedelta(seconds=10)
MAX_SPAN_LINKS: Final = 128


class BatchTelemetry:
    """Makes the spans, metric points and log lines of batches."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._metrics = telemetry.metrics
        self._tracer = telemetry.tracer
        self._log = structlog.get_logger("relevo.ordered").bind()

    @contextmanager
    def sending(
        self, destination: OrderedDestination, messages: Sequence[StreamMessage], *, at: datetime
    ) -> Iterator["TracedBatch"]:
        """The PRODUCER span of a batch: in the trace of its message if that is alone and younger than 10 s, else in a
        new trace that is linked to those of its messages."""
        span = self._start(destination, messages, at)
        bound = bind_contextvars(org_id=destination.org_id, app_id=destination.app_id)
        attached = attach(trace.set_span_in_context(span))
        try:
            yield TracedBatch(self._telemetry, destination, messages, span, at, log=self._log)
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            detach(attached)
            span.end()
            reset_contextvars(**bound)

    def expired(self, destination: OrderedDestination, count: int) -> None:
        """Messages were left out, since their payloads are not kept any more."""
        self._metrics.batch_messages(destination.sink.kind, "expired", count)
        self._log.warning(
            "batch.expired",
            destination_id=destination.id,
            org_id=destination.org_id,
            app_id=destination.app_id,
            kind=destination.sink.kind.value,
            messages=count,
        )

    def _start(self, destination: OrderedDestination, messages: Sequence[StreamMessage], at: datetime) -> Span:
        first = messages[0]
        continues = len(messages) == 1 and at - first.created_at < SAME_TRACE_WINDOW
        within = context_of(first.traceparent) if continues else Context()
        if not self._telemetry.exports_traces:
            return self._tracer.start_span("send batch", context=within)
        return self._tracer.start_span(
            "send batch",
            context=within,
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.batch.message_count": len(messages),
                "relevo.org.id": destination.org_id,
                "relevo.app.id": destination.app_id,
                "relevo.destination.id": destination.id,
                "relevo.destination.kind": destination.sink.kind.value,
                "relevo.message.id": first.id,
                "relevo.position": messages[-1].position,
            },
            links=() if continues else _links(messages),
        )


class TracedBatch:
    """A batch under way."""

    def __init__(
        self,
        telemetry: Telemetry,
        destination: OrderedDestination,
        messages: Sequence[StreamMessage],
        span: Span,
        at: datetime,
        *,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._telemetry = telemetry
        self._destination = destination
        self._messages = messages
        self._span = span
        self._at = at
        self._log = log

    def context_for_receiver(self) -> dict[str, str]:
        """The `traceparent` of this span as a header, for a destination whose metadata asks for it."""
        if not (wants_trace(self._destination.metadata) and self._telemetry.exports_traces):
            return {}
        written = traceparent(self._span.get_span_context())
        return {} if written is None else {"traceparent": written}

    def sent(self, result: BatchResult, setback: Setback | None) -> None:
        """Record the result on the span, in the metrics and in the log line `batch.sent`."""
        kind, error = self._destination.sink.kind.value, None if setback is None else error_label(result.outcome)
        outcome = _outcome(setback)
        metrics = self._telemetry.metrics
        metrics.batch_sent(kind, outcome, seconds=result.outcome.exchange.duration.total_seconds())
        if result.taken:
            metrics.batch_messages(kind, "sent", result.taken)
        if outcome == "disabled":
            metrics.destination_disabled(kind)
        self._describe(result, outcome, error)
        self._tell(result, setback, outcome, error)

    def _describe(self, result: BatchResult, outcome: str, error: str | None) -> None:
        if not self._span.is_recording():
            return
        self._span.set_attribute("relevo.verdict", outcome)
        if result.outcome.exchange.status:
            self._span.set_attribute("http.response.status_code", result.outcome.exchange.status)
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)

    def _tell(self, result: BatchResult, setback: Setback | None, outcome: str, error: str | None) -> None:
        first, last = self._messages[0], self._messages[-1]
        tell = self._log.warning if outcome == "disabled" else self._log.info
        tell(
            "batch.sent",
            destination_id=self._destination.id,
            kind=self._destination.sink.kind.value,
            message_id=first.id,
            correlation_id=first.correlation_id,
            messages=len(self._messages),
            taken=result.taken,
            position=last.position,
            outcome=outcome,
            status=result.outcome.exchange.status or None,
            error_type=error,
            duration_ms=round(result.outcome.exchange.duration.total_seconds() * 1000, 2),
            late_ms=round((self._at - first.created_at).total_seconds() * 1000),
            attempt=1 if setback is None else setback.standing.attempts,
            next_in_s=None if setback is None or setback.disabled else round(setback.delay.total_seconds()),
        )


def _outcome(setback: Setback | None) -> BatchOutcome:
    if setback is None:
        return "sent"
    return "disabled" if setback.disabled else "retrying"


def _links(messages: Sequence[StreamMessage]) -> list[Link]:
    contexts = (
        trace.get_current_span(context_of(message.traceparent)).get_span_context()
        for message in messages[:MAX_SPAN_LINKS]
    )
    return [Link(context) for context in contexts if context.is_valid]
