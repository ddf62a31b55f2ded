"""Accepting, attempting and committing as they are told: span, points and line from the same values, at one place."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Literal, assert_never

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

from service.domain.deliveries import Answered, Claim, Failed, Outcome, Trigger
from service.domain.messages import Accepted, NewMessage, Reception, Repeated
from service.domain.retries import Canceled, Delivered, Exhausted, Gone, TryAgain, Verdict
from service.observability.correlation import trace_id, traceparent
from service.observability.telemetry import Telemetry

CONTINUES_WITHIN: Final = timedelta(seconds=10)
MOST_LINKS: Final = 128


class DeliveryTelemetry:
    """Tells the story of messages and deliveries in spans, points and lines."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._tracer = telemetry.tracer
        self._metrics = telemetry.metrics
        self._log = structlog.get_logger("relevo.delivery")

    @contextmanager
    def accepting(self, message: NewMessage) -> Iterator["TracedAccept"]:
        """The PRODUCER span of an accept. Keep `message` as it comes back: with the traceparent to continue from."""
        attributes = {
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "relevo.message.id": message.id,
            "relevo.correlation_id": message.correlation_id,
        }
        span = self._tracer.start_span("send messages", kind=SpanKind.PRODUCER, attributes=attributes)
        with _current(span):
            yield TracedAccept(span, message)

    @contextmanager
    def batch(
        self, kind: Literal["accept", "settle"], links: Sequence[SpanContext], *, size: int
    ) -> Iterator[SpanContext]:
        """A group commit: a trace of its own, linked to those it serves. Gives its context, for them to link back."""
        began = time.perf_counter()
        span = self._tracer.start_span(
            f"commit {kind}",
            context=Context(),
            links=[Link(context) for context in links[:MOST_LINKS] if context.is_valid],
            attributes={"relevo.batch.size": size},
        )
        try:
            with _current(span):
                yield span.get_span_context()
        finally:
            self._metrics.batch(kind, size=size, seconds=time.perf_counter() - began)

    @contextmanager
    def attempting(self, claim: Claim, *, at: datetime) -> Iterator["TracedAttempt"]:
        """The CONSUMER span of an attempt: inside the accept's trace if it is the first and prompt, else on its own.

        Nothing is inherited from whoever runs it: a task made in a request carries that request's ended span.
        """
        accept = _context_of(claim.traceparent)
        continues = _is_first(claim) and at - claim.accepted_at < CONTINUES_WITHIN
        span = self._tracer.start_span(
            "process deliveries",
            context=accept if continues else Context(),
            kind=SpanKind.CONSUMER,
            attributes={"messaging.operation.name": "process", "messaging.operation.type": "process", **_ids(claim)},
            links=() if continues else _link_to(accept),
        )
        fields = {"correlation_id": claim.correlation_id, "org_id": claim.org_id, "app_id": claim.app_id}
        with bound_contextvars(**fields), _current(span):
            attempt = TracedAttempt(self._telemetry, claim, span, at)
            try:
                yield attempt
            finally:
                attempt.close()

    def received(self, receptions: Sequence[Reception]) -> None:
        """What a batch made of its messages: one point for each outcome."""
        for outcome, count in Counter(map(_outcome, receptions)).items():
            self._metrics.messages_accepted(outcome, count)

    def canceled(self, claim: Claim, reason: str) -> None:
        """A delivery that ends without an attempt."""
        self._metrics.delivery_exhausted(reason)
        self._log.info("delivery.canceled", reason=reason, **_named(claim))

    def came_too_late(self, claim: Claim) -> None:
        """The outcome of an attempt changed nothing: its lease had passed to somebody else."""
        self._log.warning("settlement.too_late", **_named(claim))

    def endpoint_switched_off(self, claim: Claim, reason: str) -> None:
        """An endpoint will get no more until somebody enables it."""
        self._metrics.endpoint_disabled(reason)
        self._log.warning("endpoint.disabled", reason=reason, **_named(claim))


class TracedAccept:
    """An accept under way."""

    def __init__(self, span: Span, message: NewMessage) -> None:
        self._span = span
        self.context = span.get_span_context()
        self.message = replace(message, traceparent=traceparent(self.context))

    def committed(self, reception: Reception, *, batch: SpanContext | None = None, size: int | None = None) -> None:
        """What the group commit `batch` of `size` made of it."""
        if not self._span.is_recording():
            return
        self._span.set_attribute("relevo.outcome", type(reception).__name__)
        if isinstance(reception, Accepted):
            self._span.set_attributes({"relevo.app.id": reception.app_id, "relevo.deliveries": reception.deliveries})
        if isinstance(reception, Repeated):
            self._span.set_attribute("relevo.repeats", reception.id)
        if size is not None:
            self._span.set_attribute("messaging.batch.message_count", size)
        if batch is not None and batch.is_valid:
            self._span.add_link(batch)


class TracedAttempt:
    """An attempt under way. Whatever comes of it, `attempted` is called at most once."""

    def __init__(self, telemetry: Telemetry, claim: Claim, span: Span, at: datetime) -> None:
        self._tracer = telemetry.tracer
        self._metrics = telemetry.metrics
        self._log = structlog.get_logger("relevo.delivery")
        self._claim = claim
        self._span = span
        self._at = at
        self._call: Span | None = None
        self._call_ended: int | None = None
        self.trace_id = trace_id(span.get_span_context())

    @contextmanager
    def calling(self, method: str, *, scheme: str, host: str, port: int) -> Iterator[None]:
        """The CLIENT span around the call to the receiver. Scheme and host only: a URL is a credential."""
        self._call = self._tracer.start_span(
            method,
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": method,
                "url.scheme": scheme,
                "server.address": host,
                "server.port": port,
                **_ids(self._claim),
            },
        )
        try:
            with trace.use_span(self._call, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield
        finally:
            # It ends now, but is closed later, by the one who knows what the answer was.
            self._call_ended = time.time_ns()

    def attempted(self, outcome: Outcome, *, verdict: Verdict, number: int, now: datetime) -> None:
        """What came of attempt `number`: on both spans, in the points and in the one line `delivery.attempted`."""
        for span in (self._span, self._call):
            if span is not None and span.is_recording():
                _describe(span, outcome)
        self._span.set_attribute("relevo.verdict", _word(verdict))
        self._record(outcome, verdict, now)
        self._tell(outcome, verdict, number)

    def close(self) -> None:
        """End what `calling` began."""
        if self._call is not None:
            self._call.end(self._call_ended)

    def _record(self, outcome: Outcome, verdict: Verdict, now: datetime) -> None:
        claim = self._claim
        self._metrics.attempt(outcome)
        if claim.trigger is not Trigger.SCHEDULED:
            return
        if _is_first(claim):
            self._metrics.first_attempt_delay((self._at - claim.due_at).total_seconds())
        if not isinstance(verdict, TryAgain):
            self._metrics.delivery_latency(_word(verdict), (now - claim.accepted_at).total_seconds())
        if isinstance(verdict, Exhausted):
            self._metrics.delivery_exhausted(verdict.reason)

    def _tell(self, outcome: Outcome, verdict: Verdict, number: int) -> None:
        claim = self._claim
        tell = self._log.info if isinstance(verdict, Delivered | TryAgain) else self._log.warning
        tell(
            "delivery.attempted",
            message_id=claim.message_id,
            endpoint_id=claim.endpoint_id,
            event_type=claim.event_type,
            attempt=number,
            trigger=claim.trigger.name.lower(),
            verdict=_word(verdict),
            status=outcome.status if isinstance(outcome, Answered) else None,
            error_type=None if outcome.succeeded else outcome.label,
            duration_ms=round(outcome.duration.total_seconds() * 1000, 2),
            late_ms=round((self._at - claim.due_at).total_seconds() * 1000),
            next_in_s=round(verdict.delay.total_seconds()) if isinstance(verdict, TryAgain) else None,
        )


@contextmanager
def _current(span: Span) -> Iterator[None]:
    try:
        with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield
    except Exception as error:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()


def _outcome(reception: Reception) -> Literal["accepted", "repeated", "rejected"]:
    if isinstance(reception, Accepted):
        return "accepted"
    return "repeated" if isinstance(reception, Repeated) else "rejected"


def _named(claim: Claim) -> dict[str, str]:
    return {
        "message_id": claim.message_id,
        "endpoint_id": claim.endpoint_id,
        "org_id": claim.org_id,
        "app_id": claim.app_id,
        "correlation_id": claim.correlation_id,
    }


def _is_first(claim: Claim) -> bool:
    return claim.attempt == 1 and claim.trigger is Trigger.SCHEDULED


def _ids(claim: Claim) -> dict[str, str | int]:
    return {
        "relevo.message.id": claim.message_id,
        "relevo.endpoint.id": claim.endpoint_id,
        "relevo.attempt": claim.attempt,
        "relevo.correlation_id": claim.correlation_id,
    }


def _context_of(written: str | None) -> Context:
    if written is None:
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": written}, Context())


def _link_to(accept: Context) -> tuple[Link, ...]:
    context = trace.get_current_span(accept).get_span_context()
    return (Link(context),) if context.is_valid else ()


def _describe(span: Span, outcome: Outcome) -> None:
    match outcome:
        case Answered(status=status):
            span.set_attribute("http.response.status_code", status)
        case Failed():
            pass
        case _:
            assert_never(outcome)
    if not outcome.succeeded:
        span.set_attribute("error.type", outcome.label)
        span.set_status(StatusCode.ERROR)


def _word(verdict: Verdict) -> str:
    match verdict:
        case Delivered():
            return "delivered"
        case TryAgain():
            return "try_again"
        case Exhausted():
            return "exhausted"
        case Gone():
            return "gone"
        case Canceled():
            return "canceled"
        case _:
            assert_never(verdict)
