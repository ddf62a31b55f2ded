"""Spans, points and log records as a test reads them, decoded from what was exported."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Ids in hexadecimal; `links` are pairs of trace and span id."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str | None
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    failed: bool
    message: str
    events: tuple[str, ...]
    seconds: float
    resource: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """`value` is a histogram's count, `total` its sum; `exemplars` are trace ids."""

    metric: str
    unit: str
    labels: frozenset[tuple[str, Any]]
    value: float
    total: float | None
    exemplars: tuple[str, ...]
    resource: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """As it came to the collector."""

    body: str
    logger: str
    severity: str
    trace_id: str | None
    span_id: str | None
    attributes: dict[str, Any]
    resource: dict[str, Any]


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for of_resource in request.resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Span(
                    name=span.name,
                    kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex() or None,
                    attributes=_attributes(span.attributes),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    message=span.status.message,
                    events=tuple(event.name for event in span.events),
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    resource=resource,
                )


def points_of(request: ExportMetricsServiceRequest) -> Iterator[Point]:
    for of_resource in request.resource_metrics:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                data = getattr(metric, str(metric.WhichOneof("data")))
                for point in data.data_points:
                    is_histogram = metric.HasField("histogram")
                    yield Point(
                        metric=metric.name,
                        unit=metric.unit,
                        labels=frozenset(_attributes(point.attributes).items()),
                        value=point.count if is_histogram else getattr(point, str(point.WhichOneof("value"))),
                        total=point.sum if is_histogram else None,
                        exemplars=tuple(exemplar.trace_id.hex() for exemplar in point.exemplars),
                        resource=resource,
                    )


def logs_of(request: ExportLogsServiceRequest) -> Iterator[LogRecord]:
    for of_resource in request.resource_logs:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                yield LogRecord(
                    body=record.body.string_value,
                    logger=of_scope.scope.name,
                    severity=record.severity_text,
                    trace_id=record.trace_id.hex() or None,
                    span_id=record.span_id.hex() or None,
                    attributes=_attributes(record.attributes),
                    resource=resource,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> object:
    value: AnyValue = pair.value
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
