"""The telemetry of sources: a span for each message received, metric points and one log line for each batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import structlog
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind, StatusCode

from service.domain.broker_messages import TRACEPARENT, TRACESTATE, BrokerMessage
from service.domain.ids import SourceId
from service.domain.sources import Source, SourceKind
from service.observability.correlation import context_of
from service.observability.telemetry import Telemetry

Outcome = Literal["accepted", "repeated", "refused", "deferred"]

# What a message's place is called, by kind: the field of the source's origin.
PLACES = {SourceKind.NATS: "stream", SourceKind.KAFKA: "topic", SourceKind.RABBITMQ: "queue"}


class SourceTelemetry:
    """Makes the spans, metric points and log lines of messages that come from brokers."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._metrics = telemetry.metrics
        self._lags: dict[SourceId, tuple[SourceKind, int]] = {}
        self._log = structlog.get_logger("relevo.sources").bind()  # once: each line through the proxy binds it anew

    @contextmanager
    def receiving(self, source: Source, message: BrokerMessage) -> Iterator["TracedReception"]:
        """The CONSUMER span of a message, in the trace of its producer's `traceparent`. What is accepted within
        belongs to that trace too."""
        headers = message.headers
        within = context_of(headers.get(TRACEPARENT), headers.get(TRACESTATE))
        told = TracedReception()
        if not self._telemetry.exports_traces:
            # Nobody sees the span; the producer's own context goes on.
            attached = attach(within)
            try:
                yield told
            finally:
                detach(attached)
            return
        kind = source.kind.value
        span = self._telemetry.tracer.start_span(
            f"process {kind}",
            context=within,
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": kind,
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": str(source.place[PLACES[source.kind]]),
                "messaging.message.id": message.position,
                "relevo.source.id": source.id,
                "relevo.org.id": source.org_id,
            },
        )
        attached = attach(trace.set_span_in_context(span, within))
        try:
            yield told
            span.set_attribute("relevo.outcome", told.outcome)
            if told.error is not None:
                span.set_attribute("error.type", told.error)
                span.set_status(StatusCode.ERROR)
        finally:
            detach(attached)
            span.end()

    def received(self, source: Source, outcomes: Mapping[Outcome, int]) -> None:
        """Count the outcomes of a batch, and tell of it in one log line."""
        for outcome, count in outcomes.items():
            self._metrics.source_messages(source.kind.value, outcome, count)
        tell = self._log.warning if outcomes.get("refused") or outcomes.get("deferred") else self._log.info
        tell("source.received", kind=source.kind.value, **{str(outcome): count for outcome, count in outcomes.items()})

    def lags(self, source: Source, lag: int | None) -> None:
        """How many messages of the source wait at its broker, as far as this process knows; None when it reads it no
        more."""
        if lag is None:
            self._lags.pop(source.id, None)
        else:
            self._lags[source.id] = source.kind, lag
        of_kind = [waiting for kind, waiting in self._lags.values() if kind is source.kind]
        self._metrics.source_lag(source.kind.value, max(of_kind, default=0))


class TracedReception:
    """A message that is being submitted. `decided` is called once."""

    def __init__(self) -> None:
        self.outcome: Outcome = "deferred"
        self.error: str | None = None

    def decided(self, outcome: Outcome, *, error: str | None = None) -> None:
        """What became of it. `error` is the code of why it was not accepted."""
        self.outcome, self.error = outcome, error
