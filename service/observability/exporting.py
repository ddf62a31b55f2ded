"""Where each signal is sent, as the standard `OTEL_` variables have it; without an endpoint, nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter

Signal = Literal["traces", "metrics", "logs"]

GRPC, HTTP = "grpc", "http/protobuf"
GRPC_PORT = 4317


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One signal's way to the collector. Headers, certificates and timeouts the exporters read from their variables."""

    endpoint: str
    protocol: str


def destination(signal: Signal, environ: Mapping[str, str]) -> Destination | None:
    """None when the signal is not to be exported. ValueError for a protocol that we do not speak."""
    name = signal.upper()
    if is_disabled(environ) or environ.get(f"OTEL_{name}_EXPORTER", "otlp").strip() == "none":
        return None
    own, shared = environ.get(f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT"), environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not own and not shared:
        return None
    endpoint = own or shared or ""
    protocol = _protocol(name, endpoint, environ)
    if protocol == HTTP and not own:
        endpoint = f"{endpoint.rstrip('/')}/v1/{signal}"
    return Destination(endpoint=endpoint, protocol=protocol)


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Whether `OTEL_SDK_DISABLED` says so."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def span_exporter(to: Destination, resource: Resource, meters: MeterProvider) -> SpanExporter:
    """An exporter of encoded spans that counts what it lost on `meters`."""
    if to.protocol == GRPC:
        from service.observability.otlp.over_grpc import SpansOverGrpc

        return SpansOverGrpc(to.endpoint, resource=resource, meters=meters)
    from service.observability.otlp.over_http import SpansOverHttp

    return SpansOverHttp(to.endpoint, resource=resource, meters=meters)


def log_exporter(to: Destination, resource: Resource, meters: MeterProvider) -> LogRecordExporter:
    """An exporter of encoded records that counts what it lost on `meters`."""
    if to.protocol == GRPC:
        from service.observability.otlp.over_grpc import LogsOverGrpc

        return LogsOverGrpc(to.endpoint, resource=resource, meters=meters)
    from service.observability.otlp.over_http import LogsOverHttp

    return LogsOverHttp(to.endpoint, resource=resource, meters=meters)


def metric_exporter(to: Destination) -> MetricExporter:
    """An exporter; its reader tells it where to count."""
    if to.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OverGrpc

        return OverGrpc(endpoint=to.endpoint)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(endpoint=to.endpoint)


def _protocol(name: str, endpoint: str, environ: Mapping[str, str]) -> str:
    said = environ.get(f"OTEL_EXPORTER_OTLP_{name}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    # The standard default is HTTP, but on gRPC's own port HTTP could only fail.
    protocol = (said or (GRPC if urlsplit(endpoint).port == GRPC_PORT else HTTP)).strip().lower()
    if protocol not in {GRPC, HTTP}:
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; set it to {GRPC} or {HTTP}.")
    return protocol
