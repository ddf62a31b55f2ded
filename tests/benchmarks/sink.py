"""A live collector for the benchmarks: takes OTLP over HTTP at once and counts what it was sent when it is asked.

`POST /forget` starts afresh, `GET /report` counts spans by name, log records by event and metric exports.
"""

import gzip
from collections import Counter
from collections.abc import Iterator

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.benchmarks.listener import Reply, listen


class Sink:
    """What has arrived since it last forgot."""

    def __init__(self) -> None:
        self._exports: dict[str, list[bytes]] = {}

    def handle(self, method: str, path: str, head: bytes, body: bytes) -> Reply:
        """Keep an export, or answer about those that were kept."""
        match method, path:
            case "POST", "/forget":
                self._exports.clear()
                return Reply()
            case "GET", "/report":
                return Reply(orjson.dumps(self._report()))
            case _:
                packed = b"\r\ncontent-encoding: gzip" in head.lower()
                self._exports.setdefault(path, []).append(gzip.decompress(body) if packed else body)
                return Reply(b"")

    def _report(self) -> dict[str, object]:
        return {
            "spans": Counter(self._spans()),
            "logs": Counter(self._logs()),
            "metric_exports": len(self._exports.get("/v1/metrics", ())),
            "bytes": sum(len(body) for bodies in self._exports.values() for body in bodies),
        }

    def _spans(self) -> Iterator[str]:
        for body in self._exports.get("/v1/traces", ()):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    yield from (span.name for span in scope.spans)

    def _logs(self) -> Iterator[str]:
        for body in self._exports.get("/v1/logs", ()):
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in resource.scope_logs:
                    yield from (record.body.string_value for record in scope.log_records)


if __name__ == "__main__":
    listen(Sink().handle)
