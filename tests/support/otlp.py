"""A collector to test against: OTLP over HTTP and gRPC on real sockets, which answers, refuses, dawdles or hangs."""

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.patience import patient
from tests.support.signals import LogRecord, Point, Span, logs_of, points_of, spans_of

# What is refused may be sent again, what is rejected may not; that is kept here all the same.
Manner = Literal["answer", "refuse", "reject", "hang"]
Export = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest

PATIENCE = patient(20)
_PATHS: Mapping[str, type[Export]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
_METHODS: Mapping[str, tuple[type[Export], type[Any]]] = {
    "trace.v1.TraceService": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "metrics.v1.MetricsService": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "logs.v1.LogsService": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


@contextmanager
def running_collector(manner: Manner = "answer", *, delay: float = 0.0) -> Iterator["Collector"]:
    """Both listeners on 127.0.0.1; whoever hangs in them is let go at the end."""
    collector = Collector(manner=manner, delay=delay)
    with _http(collector) as http_port, _grpc(collector) as grpc_port:
        collector.http_endpoint = f"http://127.0.0.1:{http_port}"
        collector.grpc_endpoint = f"http://127.0.0.1:{grpc_port}"
        try:
            yield collector
        finally:
            collector.let_go.set()


@dataclass(slots=True, kw_only=True)
class Collector:
    """What has arrived, in order. `manner` may change while it runs."""

    manner: Manner
    delay: float = 0.0
    http_endpoint: str = ""
    grpc_endpoint: str = ""
    let_go: threading.Event = field(default_factory=threading.Event)
    _spans: list[Span] = field(default_factory=list)
    _points: list[Point] = field(default_factory=list)
    _logs: list[LogRecord] = field(default_factory=list)
    _raw: list[bytes] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def environ(self, protocol: str = "http/protobuf", **more: str) -> dict[str, str]:
        """The standard variables that send all three signals here, without delay."""
        endpoint = self.grpc_endpoint if protocol == "grpc" else self.http_endpoint
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            **more,
        }

    @property
    def spans(self) -> list[Span]:
        """Every span so far."""
        with self._arrived:
            return list(self._spans)

    @property
    def points(self) -> list[Point]:
        """The latest point of every series."""
        with self._arrived:
            return list({(point.metric, point.labels): point for point in self._points}.values())

    def exemplars(self, metric: str) -> set[str]:
        """The trace ids that points of a metric gave as examples, over all exports: each gives only what is new."""
        with self._arrived:
            return {trace for point in self._points if point.metric == metric for trace in point.exemplars}

    @property
    def logs(self) -> list[LogRecord]:
        """Every log record so far."""
        with self._arrived:
            return list(self._logs)

    @property
    def everything(self) -> bytes:
        """All that arrived, as bytes, to look for what should not have."""
        with self._arrived:
            return b"".join(self._raw)

    def span(self, name: str) -> Span:
        """The only span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def wait_for(self, condition: Callable[["Collector"], bool]) -> None:
        """Return as soon as what has arrived fulfils the condition; AssertionError when it does not in time."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: condition(self), PATIENCE), "it did not arrive"

    def take(self, request: Export, raw: bytes) -> bool:
        """Keep an export. False when it is refused."""
        if self.manner == "hang":
            self.let_go.wait(PATIENCE * 3)
            return False
        if self.delay:
            self.let_go.wait(self.delay)
        if self.manner == "refuse":
            return False
        with self._arrived:
            self._raw.append(raw)
            self._keep(request)
            self._arrived.notify_all()
        return self.manner != "reject"

    def _keep(self, request: Export) -> None:
        match request:
            case ExportTraceServiceRequest():
                self._spans += spans_of(request)
            case ExportMetricsServiceRequest():
                self._points += points_of(request)
            case ExportLogsServiceRequest():
                self._logs += logs_of(request)


@contextmanager
def _http(collector: Collector) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            taken = collector.take(_PATHS[self.path].FromString(body), body)
            self.send_response(200 if taken else 400 if collector.manner == "reject" else 503)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            collector.let_go.set()
            server.shutdown()
            thread.join()


@contextmanager
def _grpc(collector: Collector) -> Iterator[int]:
    pool = ThreadPoolExecutor(4)
    server = grpc.server(pool)
    for service, (request, response) in _METHODS.items():
        handler = grpc.unary_unary_rpc_method_handler(_grpc_method(collector, request, response))
        full_name = f"opentelemetry.proto.collector.{service}"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(full_name, {"Export": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        collector.let_go.set()
        server.stop(None).wait()
        pool.shutdown()


def _grpc_method(collector: Collector, request: type[Export], response: type[Any]) -> Callable[[bytes, Any], bytes]:
    def export(raw: bytes, context: Any) -> bytes:
        if not collector.take(request.FromString(raw), raw):
            final = collector.manner == "reject"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT if final else grpc.StatusCode.UNAVAILABLE, "refused")
        answer: bytes = response().SerializeToString()
        return answer

    return export
