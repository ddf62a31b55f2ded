"""The SDK's OTLP exporters over HTTP, except for how they write. Importing them costs what `requests` costs."""

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE

from service.observability.otlp.logs import encode_logs
from service.observability.otlp.spans import encode_spans


class LeanSpanExporter(OTLPSpanExporter):
    """Retries, compression, headers, TLS and the count of what was lost are the SDK's."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """One request with these spans; they are lost when the collector does not take it in time."""
        done = not self._shutdown and _sent(self, encode_spans(spans), len(spans))
        return SpanExportResult.SUCCESS if done else SpanExportResult.FAILURE


class LeanLogExporter(OTLPLogExporter):
    """Retries, compression, headers, TLS and the count of what was lost are the SDK's."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """One request with these records; they are lost when the collector does not take it in time."""
        done = not self._shutdown and _sent(self, encode_logs(batch), len(batch))
        return LogRecordExportResult.SUCCESS if done else LogRecordExportResult.FAILURE


def _sent(exporter: OTLPSpanExporter | OTLPLogExporter, encoded: bytes, count: int) -> bool:
    # The SDK keeps both to itself, and has no other place for an encoder.
    metrics, client = exporter._metrics, exporter._client  # noqa: SLF001
    with metrics.export_operation(count) as result:
        sent = client.export(encoded)
        if not sent.success:
            result.error = sent.error
            if sent.status_code is not None:
                result.error_attrs = {HTTP_RESPONSE_STATUS_CODE: sent.status_code}
    return bool(sent.success)
