"""Where and how each signal is exported, from the standard `OTEL_*` variables. Without an endpoint, nothing is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.util.re import parse_env_headers

from service.observability.variables import GRPC, HTTP, of_signal, protocol

if TYPE_CHECKING:
    from grpc import ChannelCredentials

Signal = Literal["traces", "metrics", "logs"]

EXPORT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """How one signal reaches the collector. Files are PEM; `timeout` is in seconds, for one request."""

    endpoint: str
    protocol: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = EXPORT_TIMEOUT_S
    compression: str = "none"
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None


def destination(signal: Signal, environ: Mapping[str, str]) -> Destination | None:
    """Where the signal goes, None when it is not exported. `environ` is what `variables.checked` returned."""
    name = signal.upper()
    exporters = {part.strip().lower() for part in environ.get(f"OTEL_{name}_EXPORTER", "otlp").split(",")}
    variable, endpoint = of_signal(name, "ENDPOINT", environ)
    if is_disabled(environ) or "otlp" not in exporters or endpoint is None:
        return None
    spoken = protocol(name, environ)
    if spoken == HTTP and variable == "OTEL_EXPORTER_OTLP_ENDPOINT":
        endpoint = _of_signal(endpoint, signal)
    said = {what: of_signal(name, what, environ)[1] for what in ("HEADERS", "TIMEOUT", "COMPRESSION")}
    return Destination(
        endpoint=endpoint,
        protocol=spoken,
        headers=parse_env_headers(said["HEADERS"] or "", liberal=True),
        timeout=float(said["TIMEOUT"] or EXPORT_TIMEOUT_S),
        compression=(said["COMPRESSION"] or "none").lower(),
        authorities=of_signal(name, "CERTIFICATE", environ)[1],
        certificate=of_signal(name, "CLIENT_CERTIFICATE", environ)[1],
        key=of_signal(name, "CLIENT_KEY", environ)[1],
    )


def _of_signal(endpoint: str, signal: Signal) -> str:
    parts = urlsplit(endpoint)
    return parts._replace(path=f"{parts.path.rstrip('/')}/v1/{signal}").geturl()


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Whether `OTEL_SDK_DISABLED` says so."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def span_exporter(to: Destination, resource: Resource, meters: MeterProvider) -> SpanExporter:
    """An exporter of encoded spans. It counts the spans that it loses on `meters`."""
    if to.protocol == GRPC:
        from service.observability.otlp.over_grpc import SpansOverGrpc

        return SpansOverGrpc(resource, meters, **_over_grpc(to))
    from service.observability.otlp.over_http import SpansOverHttp

    return SpansOverHttp(resource, meters, **_over_http(to))


def log_exporter(to: Destination, resource: Resource, meters: MeterProvider) -> LogRecordExporter:
    """An exporter of encoded log records. It counts the records that it loses on `meters`."""
    if to.protocol == GRPC:
        from service.observability.otlp.over_grpc import LogsOverGrpc

        return LogsOverGrpc(resource, meters, **_over_grpc(to))
    from service.observability.otlp.over_http import LogsOverHttp

    return LogsOverHttp(resource, meters, **_over_http(to))


def metric_exporter(to: Destination) -> MetricExporter:
    """An exporter of metrics."""
    if to.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OverGrpc

        return OverGrpc(**_over_grpc(to))
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(**_over_http(to))


def _over_http(to: Destination) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.http import Compression

    return {
        "endpoint": to.endpoint,
        "headers": dict(to.headers),
        "timeout": to.timeout,
        "compression": Compression(to.compression),
        "certificate_file": to.authorities,
        "client_certificate_file": to.certificate,
        "client_key_file": to.key,
    }


def _over_grpc(to: Destination) -> dict[str, Any]:
    from grpc import Compression

    insecure = urlsplit(to.endpoint).scheme == "http"
    return {
        "endpoint": to.endpoint,
        "insecure": insecure,
        "credentials": None if insecure else _credentials(to),
        "headers": dict(to.headers),
        "timeout": to.timeout,
        "compression": Compression.Gzip if to.compression == "gzip" else Compression.NoCompression,
    }


def _credentials(to: Destination) -> "ChannelCredentials":
    """Made here because the library ignores a client certificate where no certificate authority is given."""
    from grpc import ssl_channel_credentials

    certificate, key = _read(to.certificate), _read(to.key or to.certificate)
    return ssl_channel_credentials(_read(to.authorities), key, certificate)


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None
