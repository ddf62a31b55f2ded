"""The outermost middleware: every request gets a correlation id, a span, one log line and one metric point."""

import asyncio
import os
import time
from typing import Final

import orjson
import structlog
from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp
from structlog.contextvars import bound_contextvars
from structlog.typing import FilteringBoundLogger

from service.observability.call_next import CallNext, CallNextMiddleware, OwnAnswer, ResponseHead
from service.observability.correlation import IN_SCOPE, REQUEST_ID, context_of, correlation_id, traceparent
from service.observability.metrics import Metrics
from service.observability.telemetry import Telemetry

PROBES: Final = frozenset({"/livez", "/readyz", "/startupz", "/healthz", "/metrics"})
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"})

_INTERNAL_ERROR: Final = orjson.dumps({"code": "internal_error", "detail": "Something went wrong on our side."})


class CorrelationMiddleware(CallNextMiddleware):
    """Add it last, so that it is outside of every other middleware and sees every answer."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry) -> None:
        super().__init__(app)
        self._tracer = telemetry.tracer
        self._metrics = telemetry.metrics
        self._log = structlog.get_logger("relevo.request")

    async def dispatch(self, request: Request, call_next: CallNext) -> ResponseHead:
        request_id = correlation_id(request.headers, fresh=_fresh)
        if request.scope["path"] in PROBES:
            response = await call_next(request)
        else:
            response = await self._observed(request, call_next, request_id)
        response.headers[REQUEST_ID] = request_id
        return response

    async def _observed(self, request: Request, call_next: CallNext, request_id: str) -> ResponseHead:
        request.scope[IN_SCOPE] = request_id
        server_span = trace.get_current_span()
        server_span.set_attribute("relevo.correlation_id", request_id)
        # The FastAPI instrumentation continues the caller's trace where spans are exported; elsewhere we do it here.
        caller = None if server_span.get_span_context().is_valid else context_of(request.headers.get("traceparent"))
        account = RequestAccount(request, server_span, self._metrics, self._log.bind(correlation_id=request_id))
        with (
            bound_contextvars(correlation_id=request_id),
            self._tracer.start_as_current_span(
                "request",
                context=caller,
                attributes={"relevo.correlation_id": request_id},
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            try:
                response = await call_next(request)
            except Exception as error:  # noqa: BLE001 - the last resort: logged once, answered with a 500
                account.crashed(error)
                response = OwnAnswer(status=500, body=_INTERNAL_ERROR, media_type="application/json")
            except asyncio.CancelledError as gone:
                account.finished(gone)
                raise
        account.status = response.status_code
        response.when_finished(account.finished)
        seen = server_span.get_span_context() if caller is None else span.get_span_context()
        if trace_context := traceparent(seen):
            response.headers["traceresponse"] = trace_context
        return response


class RequestAccount:
    """The result of one request. Log line, metric point and span status are written from it at the last byte."""

    def __init__(self, request: Request, span: Span, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self.status = 0
        self._scope = request.scope
        self._span = span
        self._metrics = metrics
        self._log = log
        self._method = request.method if request.method in METHODS else "_OTHER"
        self._error_type: str | None = None
        self._done = False
        self._began = time.perf_counter()
        metrics.request_started(method=self._method, scheme=self._scope["scheme"])

    def crashed(self, error: Exception) -> None:
        """Nothing inside handled the error: log it once with its stack; the span gets its type, never its text."""
        self._error_type = type(error).__qualname__
        self._span.set_status(StatusCode.ERROR)
        # The instrumentation puts the status in place of `error.type` when it sees the 500.
        self._span.set_attributes({"error.type": self._error_type, "exception.type": self._error_type})
        self._log.error("request.failed", error_type=self._error_type, exc_info=error)

    def finished(self, error: BaseException | None) -> None:
        """The last byte was sent (None), the answer was cut short, or something failed after it was complete."""
        if self._done:
            self._failed_late(error)
            return
        self._done = True
        ending = _ending(error)
        if ending == "broken" and isinstance(error, Exception):
            self.crashed(error)
        self._settle(ending)

    def _settle(self, ending: str) -> None:
        seconds = time.perf_counter() - self._began
        route = getattr(self._scope.get("route"), "path_format", None)
        if self._error_type is None and self.status >= 500:
            self._error_type = str(self.status)
        self._metrics.request_finished(
            method=self._method,
            scheme=self._scope["scheme"],
            route=route,
            status=self.status,
            error_type=self._error_type,
            seconds=seconds,
        )
        tell = self._log.warning if self.status >= 500 or ending == "broken" else self._log.info
        tell(
            "request.finished",
            method=self._method,
            route=route,
            status=self.status,
            duration_ms=round(seconds * 1000, 2),
            ending=ending,
            error_type=self._error_type,
        )

    def _failed_late(self, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            self._metrics.failed_after_answer()
            self._log.error("request.failed_after_answer", error_type=type(error).__qualname__, exc_info=error)


def _ending(error: BaseException | None) -> str:
    match error:
        case None:
            return "complete"
        case asyncio.CancelledError() | ClientDisconnect():
            return "disconnected"
        case _:
            return "broken"


def _fresh() -> str:
    return os.urandom(16).hex()
