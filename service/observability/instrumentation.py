"""Sets up OpenTelemetry's instrumentations: SERVER spans for requests, CLIENT spans for SQL statements."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from opentelemetry import propagate
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import Span, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import get_contextvars

from service.observability.middleware import PROBES
from service.observability.route_names import name_by_table
from service.observability.server_spans import WITHOUT_WORDS
from service.observability.telemetry import Telemetry

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncEngine

_CONVENTIONS, _CHOSEN = "OTEL_SEMCONV_STABILITY_OPT_IN", "http,database"
_INSTRUMENTATION = "opentelemetry.instrumentation.sqlalchemy"
_CAPTURING = frozenset(f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_{which}" for which in ("REQUEST", "RESPONSE"))


def instrument(app: FastAPI, telemetry: Telemetry) -> None:
    """One SERVER span per request, named by its route's template. Call it before the application first runs; later it
    has no effect. Does nothing where traces are not exported: unexported spans are a sixth of the cost of an accept.
    """
    if not telemetry.exports_traces:
        return
    _choose_conventions()
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    # The instrumentation uses the global propagator only. Trace context alone, so that baggage is not passed on.
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=telemetry.tracer_provider,
        meter_provider=NoOpMeterProvider(),
        # Of a WebSocket our own middleware opens the span: it knows the answer, which the instrumentation does not.
        excluded_urls=",".join(["^wss?:", *(f"^[^/]*//[^/]*{path}$" for path in sorted(PROBES))]),
        exclude_spans=["send", "receive"],
        server_request_hook=_remove_caller_text,
    )
    name_by_table(app)


def wants_more(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks the instrumentation for more, or in other words, than `server_spans` tell."""
    said = environ.get(_CONVENTIONS, _CHOSEN).lower()
    chosen = {part.strip() for part in said.split(",")}
    return "http" not in chosen or "http/dup" in chosen or not _CAPTURING.isdisjoint(environ)


@contextmanager
def instrument_database(engine: "AsyncEngine", telemetry: Telemetry) -> Iterator[None]:
    """One CLIENT span per statement with the correlation id; none for connecting; no driver's error text on any. Does
    nothing where traces are not exported.
    """
    if not telemetry.exports_traces:
        yield
        return
    _choose_conventions()
    from opentelemetry.instrumentation.sqlalchemy.engine import EngineTracer
    from sqlalchemy import event

    # Registered before the instrumentation's own handler, so that it is called first.
    event.listen(engine.sync_engine, "handle_error", _end_span_without_text)
    # Of this engine alone: the instrumentor is one for the whole process, and takes only the first of several engines.
    counter = NoOpMeterProvider().get_meter(_INSTRUMENTATION).create_up_down_counter("unused")
    trace_engine: Any = EngineTracer
    trace_engine(telemetry.tracer_provider.get_tracer(_INSTRUMENTATION), engine.sync_engine, counter)
    # Registered after the instrumentation's handler, which makes the span.
    event.listen(engine.sync_engine, "before_cursor_execute", _correlate)
    try:
        yield
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", _correlate)
        event.remove(engine.sync_engine, "handle_error", _end_span_without_text)


def _choose_conventions() -> None:
    # The instrumentations read it from the environment, once, when the first of them is imported.
    os.environ.setdefault(_CONVENTIONS, _CHOSEN)


def _remove_caller_text(span: Span, scope: Mapping[str, Any]) -> None:
    # Paths and query strings may hold secrets. The attributes are set by now and cannot be removed, only overwritten.
    if span.is_recording() and scope["type"] == "http":
        span.set_attributes(WITHOUT_WORDS)


def _correlate(_conn: object, _cursor: object, _sql: str, _parameters: object, context: object, _many: object) -> None:
    correlation_id = get_contextvars().get("correlation_id")
    span: Span | None = getattr(context, "_otel_span", None)
    if span is not None and correlation_id is not None:
        span.set_attribute("relevo.correlation_id", correlation_id)


def _end_span_without_text(context: "ExceptionContext") -> None:
    span = getattr(context.execution_context, "_otel_span", None)
    if span is None:
        return
    span.set_attribute("error.type", type(context.original_exception).__name__)
    span.set_status(StatusCode.ERROR)
    span.end()
    # Without the span, the instrumentation's own handler cannot write the driver's text on it.
    setattr(context.execution_context, "_otel_span", None)  # noqa: B010 - its type does not know the attribute
