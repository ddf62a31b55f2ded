"""The telemetry of accepts, attempts and group commits: spans, metric points and log lines from the same values."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode
from structlog.contextvars import bind_contextvars, reset_contextvars

from service.domain.deliveries import Claim
from service.domain.errors import Busy, Unavailable
from service.domain.messages import Accepted, NewMessage, Reception, Repeated
from service.observability.attempts import Places, TracedAttempt, ids, is_first, named, of_application
from service.observability.correlation import context_of, traceparent
from service.observability.telemetry import Telemetry

SAME_TRACE_WINDOW: Final = timedelta(seconds=10)
MAX_SPAN_LINKS: Final = 128
SLOW_SETTLEMENT_S: Final = 1.0  # a settlement that takes longer gets a span


class DeliveryTelemetry:
    """Makes the spans, metric points and log lines of messages and deliveries."""

    def __init__(self, telemetry: Telemetry, *, slow: float = SLOW_SETTLEMENT_S) -> None:
        self._telemetry = telemetry
        self._slow = slow
        self._places = Places()
        self._tracer = telemetry.tracer
        self._metrics = telemetry.metrics
        self._log = structlog.get_logger("relevo.delivery").bind()  # once: each line through the proxy binds it anew

    @contextmanager
    def accepting(self, message: NewMessage) -> Iterator["TracedAccept"]:
        """The PRODUCER span of an accept. Store the `message` that this yields: its `traceparent` is that of this
        span."""
        attributes = {
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "relevo.message.id": message.id,
            "relevo.correlation_id": message.correlation_id,
        }
        within = trace.get_current_span()
        span = self._tracer.start_span("send messages", kind=SpanKind.PRODUCER, attributes=attributes)
        attached = attach(trace.set_span_in_context(span))
        try:
            yield TracedAccept(span, message, within=within)
        except Exception as error:
            _fail(span, error)
            if isinstance(error, Busy) and not isinstance(error, Unavailable):  # the database is there, and has enough
                self._metrics.messages_accepted("throttled")
            raise
        finally:
            detach(attached)
            span.end()

    @contextmanager
    def batch(
        self, kind: Literal["accept", "settle"], links: Sequence[SpanContext], *, size: int
    ) -> Iterator[SpanContext]:
        """The span of a group commit: a trace of its own, linked to the spans of its callers. Yields its context, so
        that they can link back."""
        began = time.perf_counter()
        span = self._tracer.start_span(
            f"commit {kind}",
            context=Context(),
            links=[Link(context) for context in links[:MAX_SPAN_LINKS] if context.is_valid],
            attributes={"relevo.batch.size": size},
        )
        try:
            with _current(span):
                yield span.get_span_context()
        finally:
            self._metrics.batch(kind, size=size, seconds=time.perf_counter() - began)

    @contextmanager
    def attempting(self, claim: Claim, *, at: datetime) -> Iterator["TracedAttempt"]:
        """The CONSUMER span of an attempt: in the accept's trace for a first attempt within 10 s, else in a new trace.

        The context is explicit because a task created during a request inherits that request's ended span.
        """
        span = self._start_attempt(claim, at)
        bound = bind_contextvars(correlation_id=claim.correlation_id, org_id=claim.org_id, app_id=claim.app_id)
        attached = attach(trace.set_span_in_context(span))
        attempt = TracedAttempt(self._telemetry, claim, span, at, places=self._places, log=self._log)
        try:
            yield attempt
        except Exception as error:
            _fail(span, error)
            raise
        finally:
            detach(attached)
            attempt.end()
            reset_contextvars(**bound)

    def _start_attempt(self, claim: Claim, at: datetime) -> Span:
        accept = context_of(claim.traceparent)
        continues = is_first(claim) and at - claim.accepted_at < SAME_TRACE_WINDOW
        within = accept if continues else Context()
        if not self._telemetry.exports_traces:
            # Nobody sees more of it than its ids, in log lines and in the stored attempt.
            return self._tracer.start_span("process deliveries", context=within)
        return self._tracer.start_span(
            "process deliveries",
            context=within,
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "relevo.org.id": claim.org_id,
                **of_application(claim.app_id, claim.app_uid),
                **ids(claim),
                **({"relevo.task.id": claim.resend} if claim.resend else {}),
            },
            links=() if continues else _links_to(accept, context_of(claim.previous)),
        )

    @contextmanager
    def settling(self, claim: Claim, *, after: SpanContext | None) -> Iterator[None]:
        """Make a span below the attempt `after` if storing its outcome is slow or fails. A failure is also counted."""
        began_at, began = time.time_ns(), time.perf_counter()
        error: Exception | None = None
        try:
            yield
        except Exception as failure:
            error = failure
            self._metrics.unsettled("unavailable" if isinstance(error, Unavailable) else "error")
            raise
        finally:
            if error is not None or time.perf_counter() - began > self._slow:
                self._trace_settlement(claim, after, began_at, error)

    def _trace_settlement(
        self, claim: Claim, after: SpanContext | None, began_at: int, error: Exception | None
    ) -> None:
        within = Context() if after is None else trace.set_span_in_context(NonRecordingSpan(after), Context())
        span = self._tracer.start_span("settle", context=within, start_time=began_at, attributes=ids(claim))
        if error is not None:
            _fail(span, error)
        span.end()

    def received(self, receptions: Sequence[Reception]) -> None:
        """Count the outcomes of a batch of messages, with one metric point for each kind of outcome."""
        for outcome, count in Counter(map(_outcome, receptions)).items():
            self._metrics.messages_accepted(outcome, count)

    def throttled(self, count: int) -> None:
        """Count deliveries that are due and held back by a throttle."""
        if count:
            self._metrics.deliveries_throttled(count)

    def canceled(self, claim: Claim, reason: str) -> None:
        """A delivery ended without an attempt."""
        self._metrics.delivery_exhausted(reason)
        self._log.info("delivery.canceled", reason=reason, **named(claim))

    def came_too_late(self, claim: Claim) -> None:
        """The outcome of an attempt was discarded: its lease had expired and another worker holds the delivery now."""
        self._metrics.unsettled("too_late")
        self._log.warning("settlement.too_late", **named(claim))

    def endpoint_switched_off(self, claim: Claim, reason: str) -> None:
        """An endpoint was disabled: it gets no deliveries until somebody enables it."""
        self._metrics.endpoint_disabled(reason)
        self._log.warning("endpoint.disabled", reason=reason, **named(claim))


class TracedAccept:
    """An accept that is running, `within` the span of its request."""

    def __init__(self, span: Span, message: NewMessage, *, within: Span) -> None:
        self._span = span
        self._within = within
        self.context = span.get_span_context()
        self.message = replace(message, traceparent=traceparent(self.context))

    def committed(self, reception: Reception, *, batch: SpanContext | None = None, size: int | None = None) -> None:
        """Record the result of the group commit `batch` of `size` messages. The application is known only now, since
        the commit's statement looks it up."""
        if isinstance(reception, Accepted):
            bind_contextvars(app_id=reception.app_id)
            self._within.set_attributes(of_application(reception.app_id, reception.app_uid))
        if not self._span.is_recording():
            return
        self._span.set_attribute("relevo.outcome", type(reception).__name__)
        if isinstance(reception, Accepted):
            application = of_application(reception.app_id, reception.app_uid)
            self._span.set_attributes({**application, "relevo.deliveries": reception.deliveries})
        if isinstance(reception, Repeated):
            self._span.set_attribute("relevo.repeats", reception.id)
        if size is not None:
            self._span.set_attribute("messaging.batch.message_count", size)
        if batch is not None and batch.is_valid:
            self._span.add_link(batch)


@contextmanager
def _current(span: Span) -> Iterator[None]:
    try:
        with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield
    except Exception as error:
        _fail(span, error)
        raise
    finally:
        span.end()


def _fail(span: Span, error: Exception) -> None:
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR)


def _outcome(reception: Reception) -> Literal["accepted", "repeated", "rejected"]:
    if isinstance(reception, Accepted):
        return "accepted"
    return "repeated" if isinstance(reception, Repeated) else "rejected"


def _links_to(*those: Context) -> tuple[Link, ...]:
    contexts = [trace.get_current_span(one).get_span_context() for one in those]
    return tuple(Link(context) for context in contexts if context.is_valid)
