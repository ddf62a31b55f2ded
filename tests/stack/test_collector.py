"""The collector's configuration, judged by the collector."""

import subprocess
from pathlib import Path

import httpx
import yaml

from deploy.stack import programs
from deploy.stack.processes import COLLECTOR_CONFIG, Ports, Stack, running_collector
from tests.stack.relevo import eventually
from tests.stack.test_losses import to
from tests.support.otlp import running_collector as running_stub

SPAN = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "spanId": "b7ad6b7169203331",
    "name": "one",
    "startTimeUnixNano": "1",
    "endTimeUnixNano": "2",
}
SERVICE = {"key": "service.name", "value": {"stringValue": "relevo"}}
SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "Bearer abc.def", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvcmcifQ.c2ln"]


def test_the_collector_accepts_the_configuration(collector: Path) -> None:
    command = [str(collector), "validate", "--config", str(COLLECTOR_CONFIG)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    # A component's old name still works, with a warning.
    assert "deprecated" not in done.stderr.lower()


def test_the_local_collector_has_what_the_configuration_names_and_nothing_else(collector: Path) -> None:
    configured = yaml.safe_load(COLLECTOR_CONFIG.read_text())

    built = yaml.safe_load(subprocess.check_output([collector, "components"], text=True))

    for kind in ("receivers", "processors", "connectors", "exporters", "extensions"):
        wanted = {name.partition("/")[0] for name in configured[kind]}
        assert {component["name"] for component in built[kind] or []} == wanted


def test_compose_runs_the_version_that_was_tested() -> None:
    compose = yaml.safe_load((COLLECTOR_CONFIG.parent / "docker-compose.yml").read_text())["services"]

    assert compose["collector"]["image"].rpartition(":")[2] == programs.BUILDER.version.removeprefix("v")
    assert compose["prometheus"]["image"].rpartition(":")[2].startswith("v3.")


def test_credentials_end_in_the_collector(tmp_path: Path) -> None:
    with running_collector(tmp_path, Ports.free()) as collector:
        attributes = {"authorization": "opaque", "note": SECRETS[0]}
        _post_logs(f"{collector.stack.otlp_http}/v1/logs", bodies=SECRETS, attributes=attributes)
        written = eventually(lambda: _written(collector.stack))

    assert all(secret not in written for secret in SECRETS)
    assert "opaque" not in written
    assert "harmless" in written


def test_another_logs_exporter_is_switched_on_without_a_change_to_the_file(tmp_path: Path) -> None:
    with running_collector(tmp_path, Ports.free(), {"LOGS_EXPORTERS": "[file, otlp_http/loki]"}) as collector:
        _post_logs(f"{collector.stack.otlp_http}/v1/logs", bodies=["kept"], attributes={})

        assert "kept" in eventually(lambda: _written(collector.stack))


def test_spans_are_measured_before_they_are_sampled(tmp_path: Path) -> None:
    nothing_kept = {"TRACES_KEPT_PERCENT": "0", "SPAN_METRICS_INTERVAL": "200ms"}

    with running_stub() as stub, running_collector(tmp_path, Ports.free(), {**to(stub), **nothing_kept}) as collector:
        document = {"resourceSpans": [{"resource": {"attributes": [SERVICE]}, "scopeSpans": [{"spans": [SPAN]}]}]}
        httpx.post(f"{collector.stack.otlp_http}/v1/traces", json=document, trust_env=False).raise_for_status()
        stub.wait_for(lambda seen: any(point.metric == "traces.span.metrics.calls" for point in seen.points))

    assert stub.spans == []


def _written(stack: Stack) -> str:
    return stack.logs.read_text() if stack.logs.exists() else ""


def _post_logs(url: str, *, bodies: list[str], attributes: dict[str, str]) -> None:
    fields = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    records = [{"body": {"stringValue": body}, "attributes": fields} for body in [*bodies, "harmless"]]
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    httpx.post(url, json=document, trust_env=False).raise_for_status()
