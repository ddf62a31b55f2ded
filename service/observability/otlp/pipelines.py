"""Encodes finished spans and log records and puts the bytes into the SDK's queue.

A queued item is then one object instead of dozens. Dozens of objects kept for a second each cost more than the
encoding: the garbage collector visits them, and they push the next request's data out of the processor's caches.
"""

from collections.abc import Callable
from typing import Any

from opentelemetry._logs import Logger, LoggerProvider, LogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import Attributes

from service.observability.otlp.logs import encode_log
from service.observability.otlp.spans import encode_span


class EncodingSpanProcessor(BatchSpanProcessor):
    """The SDK's queue, batches, thread and count of drops. Its exporter has to be one of ours, which take bytes."""

    def on_end(self, span: ReadableSpan) -> None:
        """Encode and queue the span if it is sampled."""
        if span.context.trace_flags.sampled:
            self._batch_processor.emit((span.instrumentation_scope, encode_span(span)))  # type: ignore[arg-type]  # bytes, as our exporters take them

    def keeping(self, scope: InstrumentationScope) -> Callable[[bytes], None]:
        """Queues a span of that scope that is encoded already."""
        emit = self._batch_processor.emit
        return lambda encoded: emit((scope, encoded))  # type: ignore[arg-type]  # bytes, as above


class EncodingLoggerProvider(LoggerProvider):
    """Makes loggers that encode each record at once. Their exporter has to be one of ours, which take bytes.

    The SDK's own loggers make three objects and two copies of a record before it is queued.
    """

    def __init__(self, queue: BatchLogRecordProcessor) -> None:
        self._queue = queue
        self._loggers: dict[str, EncodingLogger] = {}

    def get_logger(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> "EncodingLogger":
        """The logger of that name."""
        found = self._loggers.get(name)
        if found is None:
            scope = InstrumentationScope(name, version, schema_url, attributes)
            found = self._loggers[name] = EncodingLogger(self._queue, scope)
        return found

    def shutdown(self) -> None:
        """Send the queued records and stop."""
        self._queue.shutdown()  # type: ignore[no-untyped-call]  # the SDK gives it no types


class EncodingLogger(Logger):
    """A logger for one scope."""

    def __init__(self, queue: BatchLogRecordProcessor, scope: InstrumentationScope) -> None:
        super().__init__(scope.name, scope.version, scope.schema_url, scope.attributes)
        self._scope = scope
        self._keep = queue._batch_processor.emit  # noqa: SLF001  # the public method would copy the bytes as if they were a record

    def emit(self, record: LogRecord | None = None, **told: Any) -> None:
        """Queue `record`, or one made of the arguments (see `LogRecord`). It belongs to the current span."""
        self._keep((self._scope, encode_log(record or LogRecord(**told))))  # type: ignore[arg-type]  # bytes, as above

    def enabled(self, **_: Any) -> bool:
        """Always true: levels are filtered before."""
        return True
