"""A route that says hello, behind different middlewares and stacks."""

import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from service.observability.call_next import CallNext, CallNextMiddleware, ResponseHead
from service.observability.instrumentation import instrument
from service.observability.logging import configure_logging
from service.observability.middleware import CorrelationMiddleware
from service.observability.telemetry import open_telemetry

HEADER = "X-Request-ID"


@asynccontextmanager
async def opened(environ: Mapping[str, str]) -> AsyncIterator[ASGIApp]:
    """`VARIANT` is one of the middlewares `bare`, `call_next`, `base`, or one of the stacks `usual`, `relevo`."""
    match environ["VARIANT"]:
        case "bare":
            yield Starlette(routes=_routes())
        case "call_next":
            yield Starlette(routes=_routes(), middleware=[Middleware(_OverCallNext)])
        case "base":
            yield Starlette(routes=_routes(), middleware=[Middleware(_OverBase)])
        case "usual":
            yield _usual()
        case _:
            async with _relevo(environ) as app:
                yield app


class _OverCallNext(CallNextMiddleware):
    async def dispatch(self, request: Request, call_next: CallNext) -> ResponseHead:
        request_id = request.headers.get(HEADER) or os.urandom(16).hex()
        response = await call_next(request)
        response.headers[HEADER] = request_id
        return response


class _OverBase(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request_id = request.headers.get(HEADER) or os.urandom(16).hex()
        response = await call_next(request)
        response.headers[HEADER] = request_id
        return response


class _Logged(BaseHTTPMiddleware):
    """One line per request, as the usual templates have it."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request_id = request.headers.get(HEADER) or os.urandom(16).hex()
        response = await call_next(request)
        response.headers[HEADER] = request_id
        logging.getLogger("app").info(
            "request finished",
            extra={"path": request.url.path, "status": response.status_code, "request_id": request_id},
        )
        return response


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {name: record.__dict__.get(name) for name in ("path", "status", "request_id")}
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage(), **fields}
        return json.dumps(line)


def _usual() -> FastAPI:
    """FastAPIInstrumentor as it comes, all signals over OTLP, BaseHTTPMiddleware, JSON by a formatter."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(_JsonLines())
    logging.getLogger("app").handlers = [lines, LoggingHandler(logger_provider=loggers)]
    logging.getLogger("app").setLevel(logging.INFO)
    app = _hello(FastAPI(middleware=[Middleware(_Logged)]))
    FastAPIInstrumentor.instrument_app(app, tracer_provider=tracers, meter_provider=meters)
    return app


@asynccontextmanager
async def _relevo(environ: Mapping[str, str]) -> AsyncIterator[FastAPI]:
    """Everything that Relevo puts around a route."""
    async with open_telemetry(role="benchmark", version="1", environ=environ) as telemetry:
        configure_logging(logger_provider=telemetry.logger_provider if telemetry.exports_logs else None)
        # Native telemetry is off, as it is in Relevo: one SERVER span per request.
        native: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
        outermost = Middleware(CorrelationMiddleware, telemetry=telemetry)
        app = _hello(FastAPI(middleware=[outermost], telemetry=native))
        instrument(app, telemetry)
        yield app


def _hello(app: FastAPI) -> FastAPI:
    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {}

    return app


def _routes() -> list[Route]:
    return [Route("/hello", _say_hello), Route("/readyz", _say_hello)]


async def _say_hello(_request: Request) -> JSONResponse:
    return JSONResponse({"hello": "world"})
