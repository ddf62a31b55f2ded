"""The telemetry of one attempt: its spans, its metric points and its log line, all from the same values."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from functools import lru_cache
from typing import assert_never

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, StatusCode
from structlog.typing import FilteringBoundLogger

from service.domain.deliveries import Claim, Trigger
from service.domain.destinations import MAX_CACHED_URL_CHARACTERS, Address, Destination, HttpDestination, address
from service.domain.ids import ApplicationId
from service.domain.outcomes import Outcome, error_label, status_class
from service.domain.retries import Canceled, Delivered, Exhausted, Gone, TryAgain, Verdict
from service.observability.correlation import span_id, trace_id, traceparent
from service.observability.telemetry import Telemetry

CACHED_ADDRESSES = 4096
_TRIGGERS = {trigger: trigger.name.lower() for trigger in Trigger}


class Places:
    """Parses URLs into scheme, host and port. Parsing costs as much as a span, so the latest results are cached."""

    def __init__(self) -> None:
        self._remembered = lru_cache(maxsize=CACHED_ADDRESSES)(address)

    def __call__(self, url: str) -> Address:
        """Scheme, host and port of that URL."""
        return self._remembered(url) if len(url) <= MAX_CACHED_URL_CHARACTERS else address(url)


class TracedAttempt:
    """An attempt that is running. `attempted` is called at most once, whatever the outcome."""

    def __init__(
        self, telemetry: Telemetry, claim: Claim, span: Span, at: datetime, *, places: Places, log: FilteringBoundLogger
    ) -> None:
        self._telemetry = telemetry
        self._log = log
        self._claim = claim
        self._span = span
        self._at = at
        self._places = places
        self._call: Span | None = None
        self._call_ended: int | None = None
        self.context = span.get_span_context()
        self.trace_id, self.span_id = trace_id(self.context), span_id(self.context)

    def calling(self, destination: Destination) -> AbstractContextManager[None]:
        """The span around the call to the receiver. There is none if the attempt's own span is not recorded."""
        return self._calling(destination) if self._span.is_recording() else nullcontext()

    @contextmanager
    def _calling(self, destination: Destination) -> Iterator[None]:
        name, kind, attributes = _call_of(destination, self._places)
        self._call = self._telemetry.tracer.start_span(name, kind=kind, attributes=attributes | ids(self._claim))
        attached = attach(trace.set_span_in_context(self._call))
        try:
            yield
        finally:
            detach(attached)
            # The span ends now and is closed later, by `end`, when the outcome has been written on it.
            self._call_ended = time.time_ns()

    def context_for_receiver(self) -> dict[str, str]:
        """The `traceparent` of the call's span as a header, for an endpoint that asks for it. Empty where traces are
        not exported: the receiver would read its "not sampled" flag as our decision and drop its own spans."""
        if not (self._claim.wants_trace and self._telemetry.exports_traces):
            return {}
        written = traceparent(self.context if self._call is None else self._call.get_span_context())
        return {} if written is None else {"traceparent": written}

    def attempted(self, outcome: Outcome, *, verdict: Verdict, number: int, now: datetime) -> None:
        """Record the outcome of attempt `number` on both spans, in the metrics and in the log line
        `delivery.attempted`."""
        if self._call is not None:
            _describe(self._call, outcome)
        if self._span.is_recording():
            _describe(self._span, outcome)
            self._span.set_attribute("relevo.verdict", _word(verdict))
        self._record(outcome, verdict, now)
        self._tell(outcome, verdict, number)

    def end(self) -> None:
        """End both spans, the call's at the time when the call ended."""
        if self._call is not None:
            self._call.end(self._call_ended)
        self._span.end()

    def _record(self, outcome: Outcome, verdict: Verdict, now: datetime) -> None:
        claim, metrics = self._claim, self._telemetry.metrics
        seconds = outcome.exchange.duration.total_seconds()
        metrics.attempt(seconds, status_class=status_class(outcome), error=error_label(outcome))
        if claim.trigger is not Trigger.SCHEDULED:
            return
        if is_first(claim):
            metrics.first_attempt_delay((self._at - claim.due_at).total_seconds())
        if not isinstance(verdict, TryAgain):
            metrics.delivery_latency(_word(verdict), (now - claim.accepted_at).total_seconds())
        if isinstance(verdict, Exhausted | Gone):
            metrics.delivery_exhausted(verdict.reason if isinstance(verdict, Exhausted) else "gone")

    def _tell(self, outcome: Outcome, verdict: Verdict, number: int) -> None:
        claim = self._claim
        tell = self._log.info if isinstance(verdict, Delivered | TryAgain) else self._log.warning
        tell(
            "delivery.attempted",
            message_id=claim.message_id,
            endpoint_id=claim.endpoint_id,
            event_type=claim.event_type,
            attempt=number,
            trigger=_TRIGGERS[claim.trigger],
            task_id=claim.resend or None,
            verdict=_word(verdict),
            status=outcome.exchange.status or None,
            error_type=error_label(outcome),
            duration_ms=round(outcome.exchange.duration.total_seconds() * 1000, 2),
            late_ms=round((self._at - claim.due_at).total_seconds() * 1000),
            next_in_s=round(verdict.delay.total_seconds()) if isinstance(verdict, TryAgain) else None,
        )


def is_first(claim: Claim) -> bool:
    """Whether it is the first attempt of a delivery that was scheduled when its message was accepted."""
    return claim.attempt == 1 and claim.trigger is Trigger.SCHEDULED


def ids(claim: Claim) -> dict[str, str | int]:
    """The attributes on every span of a delivery, to search by."""
    return {
        "relevo.message.id": claim.message_id,
        "relevo.endpoint.id": claim.endpoint_id,
        "relevo.attempt": claim.attempt,
        "relevo.correlation_id": claim.correlation_id,
    }


def of_application(app_id: ApplicationId, uid: str | None) -> dict[str, str]:
    """The attributes on spans of an application: its id, and its uid if it has one."""
    return {"relevo.app.id": app_id} if uid is None else {"relevo.app.id": app_id, "relevo.app.uid": uid}


def named(claim: Claim) -> dict[str, str]:
    """The fields in every log line of a delivery, to search by."""
    return {
        "message_id": claim.message_id,
        "endpoint_id": claim.endpoint_id,
        "org_id": claim.org_id,
        "app_id": claim.app_id,
        "correlation_id": claim.correlation_id,
    }


def _call_of(destination: Destination, places: Places) -> tuple[str, SpanKind, dict[str, str | int]]:
    """Name, kind and attributes of a call's span, as the conventions for its kind of destination have them."""
    match destination:
        case HttpDestination(url=url):
            # Scheme and host only: a URL is a credential.
            place = places(url)
            named: dict[str, str | int] = {
                "http.request.method": "POST",
                "url.scheme": place["scheme"],
                "server.address": place["host"],
                "server.port": place["port"],
            }
            return "POST", SpanKind.CLIENT, named
        case _:
            assert_never(destination)


def _describe(span: Span, outcome: Outcome) -> None:
    if outcome.exchange.status:
        span.set_attribute("http.response.status_code", outcome.exchange.status)
    error = error_label(outcome)
    if error is not None:
        span.set_attribute("error.type", error)
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
