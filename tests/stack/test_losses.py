"""What the collector cannot take or pass on is counted, under the names that dashboards and alerts read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.stack.processes import Ports, running_collector
from tests.stack.expressions import LOSSES
from tests.support.otlp import Collector, Manner
from tests.support.otlp import running_collector as running_stub

ITEMS, REQUESTS = 1000, 20
STARVED = {"COLLECTOR_MEMORY_MIB": "2", "COLLECTOR_MEMORY_SPIKE_MIB": "1"}
SHORT_QUEUE = {"COLLECTOR_QUEUE_ITEMS": str(ITEMS)}


@pytest.mark.parametrize(
    ("lost", "behind", "environ"),
    [
        ("receiver_refused", "answer", STARVED),
        ("exporter_send_failed", "reject", {}),
        ("exporter_enqueue_failed", "hang", SHORT_QUEUE),
    ],
)
def test_what_is_lost_is_counted_under_the_names_that_are_read(
    tmp_path: Path, lost: str, behind: Manner, environ: Mapping[str, str]
) -> None:
    read = {name for name in LOSSES if lost in name}

    with running_stub(behind) as stub, running_collector(tmp_path, Ports.free(), {**to(stub), **environ}) as collector:
        for _ in range(REQUESTS):
            for signal, document in DOCUMENTS.items():
                httpx.post(f"{collector.stack.otlp_http}/v1/{signal}", json=document, trust_env=False)
        if behind == "hang":
            # What counts comes by the same way as what is counted.
            stub.manner = "answer"
            stub.let_go.set()

        stub.wait_for(lambda seen: {f"{point.metric}_total" for point in seen.points} >= read)


def to(stub: Collector) -> dict[str, str]:
    """Everything there, the collector's own metrics as well."""
    return {
        "JAEGER_ENDPOINT": stub.grpc_endpoint.removeprefix("http://"),
        "PROMETHEUS_OTLP_ENDPOINT": stub.http_endpoint,
        "LOKI_ENDPOINT": stub.http_endpoint,
        "LOGS_EXPORTERS": "[otlp_http/loki]",
        "COLLECTOR_METRICS_INTERVAL_MS": "200",
    }


def _spans() -> list[dict[str, Any]]:
    return [
        {"traceId": f"{n:032x}", "spanId": f"{n:016x}", "name": "one", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
        for n in range(1, ITEMS + 1)
    ]


def _points() -> list[dict[str, Any]]:
    return [
        {"timeUnixNano": "1", "asInt": "1", "attributes": [{"key": "n", "value": {"intValue": str(n)}}]}
        for n in range(ITEMS)
    ]


DOCUMENTS: Mapping[str, dict[str, Any]] = {
    "traces": {"resourceSpans": [{"scopeSpans": [{"spans": _spans()}]}]},
    "metrics": {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "one", "gauge": {"dataPoints": _points()}}]}]}]
    },
    "logs": {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "one"}}] * ITEMS}]}]},
}
