"""From a finished span or a log record to the SDK's queue, as bytes.

What waits in the queue is one object then, not dozens: whatever is kept for a second has the garbage collector look at
it and the processor's caches lose what the next request needs. It cost more than encoding.
"""

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
    """Queue, batches, thread and the count of what was dropped are the SDK's. Its exporter is one of ours."""

    def on_end(self, span: ReadableSpan) -> None:
        """Encode it, unless it is not sampled."""
        if span.context.trace_flags.sampled:
            self._batch_processor.emit((span.instrumentation_scope, encode_span(span)))  # type: ignore[arg-type]


class EncodingLoggerProvider(LoggerProvider):
    """Loggers that encode what they are told at once. Their exporter is one of ours.

    The SDK's own make three objects and two copies of a record before it waits.
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
        """The one of that name."""
        found = self._loggers.get(name)
        if found is None:
            scope = InstrumentationScope(name, version, schema_url, attributes)
            found = self._loggers[name] = EncodingLogger(self._queue, scope)
        return found

    def shutdown(self) -> None:
        """Send what is left."""
        self._queue.shutdown()  # type: ignore[no-untyped-call]


class EncodingLogger(Logger):
    """A logger of one scope."""

    def __init__(self, queue: BatchLogRecordProcessor, scope: InstrumentationScope) -> None:
        super().__init__(scope.name, scope.version, scope.schema_url, scope.attributes)
        self._scope = scope
        self._keep = queue._batch_processor.emit  # noqa: SLF001  # its public way makes a copy of what is no record

    def emit(self, record: LogRecord | None = None, **told: Any) -> None:
        """Of the record, or of what makes one (see `LogRecord`); within the current span."""
        self._keep((self._scope, encode_log(record or LogRecord(**told))))  # type: ignore[arg-type]

    def enabled(self, **_: Any) -> bool:
        """Always."""
        return True
