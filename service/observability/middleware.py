"""The outermost middleware: every request gets a correlation id, a span, one log line and one metric point."""

import asyncio
import os
import time
from collections.abc import Awaitable, Mapping
from typing import Final

import orjson
import structlog
from opentelemetry import trace
from opentelemetry.context import attach
from opentelemetry.trace import Span, StatusCode
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bind_contextvars
from structlog.typing import FilteringBoundLogger

from service.observability.call_next import CallNext, CallNextMiddleware, OwnAnswer, ResponseHead
from service.observability.correlation import IN_SCOPE, REQUEST_ID, context_of, correlation_id, told, traceparent
from service.observability.metrics import Metrics
from service.observability.server_spans import end_server_span, start_server_span
from service.observability.sockets import ObservedSocket, name_route
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
        self._log = structlog.get_logger("relevo.request").bind()  # once, and not for each line

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "websocket":
            return self._connected(scope, receive, send)
        return super().__call__(scope, receive, send)

    async def dispatch(self, request: Request, call_next: CallNext) -> ResponseHead:
        headers = told(request.scope["headers"])
        request_id = correlation_id(headers, fresh=_fresh)
        if request.scope["path"] in PROBES:
            response = await call_next(request)
        else:
            response = await self._observed(request, call_next, request_id, headers)
        response.headers[REQUEST_ID] = request_id
        return response

    async def _observed(
        self, request: Request, call_next: CallNext, request_id: str, headers: Mapping[str, str]
    ) -> ResponseHead:
        request.scope[IN_SCOPE] = request_id
        account = self._open_account(request.scope, request.method, request_id, headers)
        # Set for the application until it ends, as by every `dispatch`, and for nobody else: there is nothing to reset.
        bind_contextvars(correlation_id=request_id)
        attach(trace.set_span_in_context(account.span))
        try:
            response = await call_next(request)
        except Exception as error:  # noqa: BLE001 - the last resort: logged once, answered with a 500
            account.crashed(error)
            response = OwnAnswer(status=500, body=_INTERNAL_ERROR, media_type="application/json")
        except asyncio.CancelledError as gone:
            account.finished(gone)
            raise
        finally:
            account.answering()
        account.status = response.status_code
        response.when_finished(account.finished)
        if trace_context := traceparent(account.server_span.get_span_context()):
            response.headers["traceresponse"] = trace_context
        return response

    async def _connected(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket is one request, answered 101, that lasts to its close: one span, one log line, one point."""
        headers = told(scope["headers"])
        scope[IN_SCOPE] = request_id = correlation_id(headers, fresh=_fresh)
        name_route(scope)
        account = self._open_account(scope, "GET", request_id, headers)
        bind_contextvars(correlation_id=request_id)
        attach(trace.set_span_in_context(account.span))
        connection = ObservedSocket(receive, send, told=[(REQUEST_ID.encode(), request_id.encode())])
        try:
            await self.app(scope, connection.receive, connection.send)
        except Exception as error:  # noqa: BLE001 - the last resort, as for every request
            await connection.fail()
            self._account_for(account, connection, error)
        except BaseException as error:
            self._account_for(account, connection, error)
            raise
        else:
            self._account_for(account, connection, None if connection.closed_by_us else asyncio.CancelledError())

    def _account_for(self, account: "RequestAccount", connection: ObservedSocket, error: BaseException | None) -> None:
        account.status, account.close_code = connection.status, connection.close_code
        account.finished(error)

    def _open_account(self, scope: Scope, asked: str, request_id: str, headers: Mapping[str, str]) -> "RequestAccount":
        """The request's account with its spans: below the SERVER span of the instrumentation an INTERNAL one; where
        the instrumentation has not seen the request, a SERVER span of our own."""
        method = asked if asked in METHODS else "_OTHER"
        named = {"relevo.correlation_id": request_id}
        server_span = trace.get_current_span()
        if ours := not server_span.get_span_context().is_valid:
            span = server_span = start_server_span(
                self._tracer,
                scope,
                method=method,
                user_agent=headers.get("user-agent"),
                parent=context_of(headers.get("traceparent"), headers.get("tracestate")),
                named=named,
            )
        else:
            server_span.set_attributes(named)
            span = self._tracer.start_span("request", attributes=named)
        return RequestAccount(
            scope,
            method=method,
            request_id=request_id,
            server_span=server_span,
            span=span,
            ours=ours,
            metrics=self._metrics,
            log=self._log,
        )


class RequestAccount:
    """The result of one request. Log line, metric point and span status are written from it at the last byte."""

    def __init__(
        self,
        scope: Scope,
        *,
        method: str,
        request_id: str,
        server_span: Span,
        span: Span,
        ours: bool,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        """With `ours` the SERVER span ends with the account."""
        self.status = 0
        self.close_code: int | None = None  # of a WebSocket
        self.server_span = server_span
        self.span = span
        self._scope = scope
        self._ours = ours
        self._metrics = metrics
        self._log = log
        self._request_id = request_id
        self._method = method
        self._error_type: str | None = None
        self._done = False
        self._began = time.perf_counter()
        metrics.request_started(method=method, scheme=scope["scheme"])

    def answering(self) -> None:
        """The head of the answer is there, or never will be: the INTERNAL span ends."""
        if not self._ours:
            self.span.end()

    def crashed(self, error: Exception) -> None:
        """Nothing inside handled the error: log it once with its stack; the span gets its type, never its text."""
        self._error_type = type(error).__qualname__
        self.server_span.set_status(StatusCode.ERROR)
        # The status takes the place of `error.type` when the span's 500 is known.
        self.server_span.set_attributes({"error.type": self._error_type, "exception.type": self._error_type})
        self._log.error("request.failed", correlation_id=self._request_id, error_type=self._error_type, exc_info=error)

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
            correlation_id=self._request_id,
            method=self._method,
            route=route,
            status=self.status,
            duration_ms=round(seconds * 1000, 2),
            ending=ending,
            error_type=self._error_type,
            close_code=self.close_code,
        )
        if self._ours:
            end_server_span(self.server_span, status=self.status)

    def _failed_late(self, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            self._metrics.failed_after_answer()
            self._log.error(
                "request.failed_after_answer",
                correlation_id=self._request_id,
                error_type=type(error).__qualname__,
                exc_info=error,
            )


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
