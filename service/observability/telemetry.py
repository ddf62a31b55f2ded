"""The OpenTelemetry providers of all three signals: opened once per process, flushed and closed within a budget."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry._logs import LoggerProvider, NoOpLoggerProvider
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Tracer, TracerProvider
from prometheus_client import CollectorRegistry

from service.observability import exporting, resource, sampling, variables
from service.observability.instruments import views
from service.observability.metrics import Metrics
from service.observability.otlp.pipelines import EncodingLoggerProvider, EncodingSpanProcessor
from service.observability.otlp.tracer import EncodingTracer

SCOPE: Final = "relevo"
CLOSING_BUDGET_S: Final = 5.0
QUEUE_SIZE: Final = 8192
BATCH_SIZE: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """The providers, tracer and metrics that the process emits through. Passed in; nothing is global."""

    tracer_provider: TracerProvider
    tracer: Tracer
    metrics: Metrics
    registry: CollectorRegistry
    logger_provider: LoggerProvider
    exports_traces: bool
    exports_logs: bool


@asynccontextmanager
async def open_telemetry(
    *,
    role: str,
    version: str,
    environ: Mapping[str, str],
    process: int | None = None,
    closing_budget: float = CLOSING_BUDGET_S,
) -> AsyncIterator[Telemetry]:
    """Open the signals that `environ` asks for; on exit flush them, for at most `closing_budget` seconds. `process` is
    the number of this one among several.

    Raises VariableRefused for a bad value. Call it once per process: some variables (limits of spans, temporality of
    metrics) the SDK reads from the process's own environment.
    """
    environ = {**_others(environ), **variables.checked(environ)}
    _count_losses()
    described = resource.describe(role=role, version=version, environ=environ, process=process)
    registry = CollectorRegistry()
    meters = _meter_provider(described, registry, environ)
    tracers, tracer = _tracers(described, meters, environ, version)
    loggers = _logger_provider(described, meters, environ)
    try:
        yield Telemetry(
            tracer_provider=tracers,
            tracer=tracer,
            metrics=Metrics(meters.get_meter(SCOPE, version)),
            registry=registry,
            logger_provider=loggers,
            exports_traces=exporting.destination("traces", environ) is not None,
            exports_logs=isinstance(loggers, EncodingLoggerProvider),
        )
    finally:
        await _close([tracers.shutdown, meters.shutdown, _shutdown(loggers)], closing_budget)


def _others(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith(variables.PREFIX)}


def _count_losses() -> None:
    # The SDK's only switch for counting what its queues and exporters drop.
    os.environ.setdefault("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")


def _meter_provider(
    described: Resource, registry: CollectorRegistry, environ: Mapping[str, str]
) -> sdk_metrics.MeterProvider:
    readers: list[MetricReader] = []
    if not exporting.is_disabled(environ):
        readers.append(PrometheusMetricReader(registry=registry, scope_info_enabled=False))
    if to := exporting.destination("metrics", environ):
        interval = float(environ.get("OTEL_METRIC_EXPORT_INTERVAL", "15000"))
        readers.append(PeriodicExportingMetricReader(exporting.metric_exporter(to), export_interval_millis=interval))
    return sdk_metrics.MeterProvider(readers, described, shutdown_on_exit=False, views=views())


def _tracers(
    described: Resource, meters: MeterProvider, environ: Mapping[str, str], version: str
) -> tuple[sdk_trace.TracerProvider, Tracer]:
    """The provider for instrumentations, and the tracer of our own spans, which go to the same queue."""
    to = exporting.destination("traces", environ)
    chosen = sampling.sampler(environ) if to else ALWAYS_OFF
    provider = sdk_trace.TracerProvider(
        sampler=chosen,
        resource=described,
        shutdown_on_exit=False,
        # Counting every span as it starts and ends would cost as much as the span.
        meter_provider=NoOpMeterProvider(),
    )
    if to is None:
        # Without an exporter spans are not recorded, but their ids still connect log lines and answers.
        is_off = exporting.is_disabled(environ)
        return provider, provider.get_tracer(SCOPE, version) if is_off else EncodingTracer(chosen, None)
    queue = EncodingSpanProcessor(
        exporting.span_exporter(to, described, meters),
        max_queue_size=(size := int(environ.get(variables.SPANS_QUEUE, QUEUE_SIZE))),
        max_export_batch_size=int(environ.get(variables.SPANS_BATCH, min(BATCH_SIZE, size))),
        schedule_delay_millis=float(environ.get("OTEL_BSP_SCHEDULE_DELAY", "1000")),
        meter_provider=meters,
    )
    provider.add_span_processor(queue)
    if variables.limits_spans(environ):
        return provider, provider.get_tracer(SCOPE, version)
    return provider, EncodingTracer(chosen, queue.keeping(InstrumentationScope(SCOPE, version)))


def _logger_provider(described: Resource, meters: MeterProvider, environ: Mapping[str, str]) -> LoggerProvider:
    to = exporting.destination("logs", environ)
    if to is None:
        return NoOpLoggerProvider()
    queue = BatchLogRecordProcessor(
        exporting.log_exporter(to, described, meters),
        max_queue_size=(size := int(environ.get(variables.RECORDS_QUEUE, QUEUE_SIZE))),
        max_export_batch_size=int(environ.get(variables.RECORDS_BATCH, min(BATCH_SIZE, size))),
        schedule_delay_millis=float(environ.get("OTEL_BLRP_SCHEDULE_DELAY", "1000")),
        meter_provider=meters,
    )
    return EncodingLoggerProvider(queue)


def _shutdown(loggers: LoggerProvider) -> Callable[[], None]:
    return loggers.shutdown if isinstance(loggers, EncodingLoggerProvider) else lambda: None


async def _close(shutdowns: list[Callable[[], None]], budget: float) -> None:
    """Run them at the same time, and abandon those that a hanging collector holds up beyond the budget (seconds).

    In daemon threads of our own: an executor's threads are joined when the interpreter ends, however long that takes.
    """
    loop = asyncio.get_running_loop()
    done = [_in_thread(shutdown, loop) for shutdown in shutdowns]
    await asyncio.wait(done, timeout=budget)


def _in_thread(work: Callable[[], None], loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    finished: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        try:
            work()
        finally:
            _tell(loop, finished)

    threading.Thread(target=run, name="telemetry-close", daemon=True).start()
    return finished


def _tell(loop: asyncio.AbstractEventLoop, finished: asyncio.Future[None]) -> None:
    # An abandoned thread may finish after the loop was closed.
    if not loop.is_closed():
        loop.call_soon_threadsafe(_resolve, finished)


def _resolve(finished: asyncio.Future[None]) -> None:
    if not finished.done():
        finished.set_result(None)
