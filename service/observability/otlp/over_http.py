"""The SDK's exporters over HTTP, for items that are encoded already. Imported only when used: `requests` is large."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE

from service.observability.otlp.wire import Encoded, request


class SpansOverHttp(OTLPSpanExporter):
    """Retries, compression, headers, TLS and the count of what was lost are the SDK's."""

    def __init__(self, resource: Resource, meters: MeterProvider, **destination: Any) -> None:
        super().__init__(meter_provider=meters, **destination)
        self._resource = resource

    def export(self, spans: Sequence[Encoded]) -> SpanExportResult:  # type: ignore[override]  # as our processor has them
        """Send these spans in one request. If the collector does not take it in time, they are lost and counted."""
        done = not self._shutdown and _sent(self, request(self._resource, spans), len(spans))
        return SpanExportResult.SUCCESS if done else SpanExportResult.FAILURE


class LogsOverHttp(OTLPLogExporter):
    """Retries, compression, headers, TLS and the count of what was lost are the SDK's."""

    def __init__(self, resource: Resource, meters: MeterProvider, **destination: Any) -> None:
        super().__init__(meter_provider=meters, **destination)
        self._resource = resource

    def export(self, batch: Sequence[Encoded]) -> LogRecordExportResult:  # type: ignore[override]  # as our logger has them
        """Send these records in one request. If the collector does not take it in time, they are lost and counted."""
        done = not self._shutdown and _sent(self, request(self._resource, batch), len(batch))
        return LogRecordExportResult.SUCCESS if done else LogRecordExportResult.FAILURE


def _sent(exporter: OTLPSpanExporter | OTLPLogExporter, encoded: bytes, count: int) -> bool:
    metrics, client = exporter._metrics, exporter._client  # noqa: SLF001  # in public the SDK sends no encoded bytes
    with metrics.export_operation(count) as result:
        sent = client.export(encoded)
        if not sent.success:
            result.error = sent.error
            if sent.status_code is not None:
                result.error_attrs = {HTTP_RESPONSE_STATUS_CODE: sent.status_code}
    return bool(sent.success)
