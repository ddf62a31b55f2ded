"""Rules, dashboards and runbook: judged by promtool, and by what there really is to read."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from deploy.stack.processes import PROMETHEUS_DIRECTORY, Stack
from service.domain.deliveries import Answered
from service.observability.metrics import Metrics, views
from tests.stack.expressions import dashboards, expressions, names_in, rules, runbook_entries
from tests.stack.relevo import eventually
from tests.stack.story import Story

TESTS = sorted((PROMETHEUS_DIRECTORY / "tests").glob("*.yml"))
ALERTS = {str(rule["alert"]): rule for rule in rules() if "alert" in rule}
# What is lost is counted from the first loss on; it has the shape of what is sent or accepted.
FAILURES = {"send_failed": "sent", "enqueue_failed": "sent", "refused": "accepted"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "--lint=all", "--lint-fatal", str(PROMETHEUS_DIRECTORY / "prometheus.yml")],
        ["test", "rules", *map(str, TESTS)],
    ],
    ids=["configuration and rules", "tests of the rules"],
)
def test_promtool_is_content(promtool: Path, arguments: list[str]) -> None:
    done = subprocess.run([str(promtool), *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_firing_and_silent(alert: str) -> None:
    documents = [yaml.safe_load(file.read_text()) for file in TESTS]
    cases = [each for document in documents for test in document["tests"] for each in test["alert_rule_test"]]

    fires = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == alert}

    assert fires == {True, False}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_leads_to_its_entry_in_the_runbook(alert: str) -> None:
    entry = runbook_entries()[alert]

    assert ALERTS[alert]["annotations"]["runbook"] == f"deploy/runbook.md#{alert.lower()}"
    assert "```promql" in entry
    assert "Jaeger, tags" in entry


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    assert set(runbook_entries()) == set(ALERTS)


def test_every_metric_that_is_read_exists(stack: Stack, story: Story) -> None:
    assert story.prompt
    eventually(lambda: "otelcol_exporter_sent_spans_total" in _seen(stack))
    known = _declared() | _seen(stack)

    unknown = {
        (where, name)
        for where, expression in expressions()
        for name in names_in(expression)
        if not _is_known(name, known)
    }

    assert not unknown


def test_every_panel_and_rule_is_valid_promql(stack: Stack) -> None:
    for where, expression in expressions():
        query = urlencode({"query": expression.replace("$__rate_interval", "1m")})

        answer = httpx.get(f"{stack.prometheus}/api/v1/query?{query}", trust_env=False)

        assert answer.is_success, f"{where}: {answer.text}"


def test_dashboards_read_from_the_provisioned_source_and_have_names_of_their_own() -> None:
    found = dashboards()

    assert len({dashboard["uid"] for dashboard in found}) == len(found) == 5
    assert {panel["datasource"]["uid"] for dashboard in found for panel in dashboard["panels"]} == {"prometheus"}


def _seen(stack: Stack) -> set[str]:
    names = httpx.get(f"{stack.prometheus}/api/v1/label/__name__/values", trust_env=False).json()["data"]
    return set(names)


def _declared() -> set[str]:
    """What the service emits once everything has happened that it counts."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry, scope_info_enabled=False)], views=views())
    _let_everything_happen(Metrics(provider.get_meter("relevo")))
    names = {sample.name for family in registry.collect() for sample in family.samples}
    provider.shutdown()
    return names


def _let_everything_happen(metrics: Metrics) -> None:
    second = timedelta(seconds=1)
    metrics.request_started(method="POST", scheme="http")
    metrics.request_finished(method="POST", scheme="http", route="/", status=500, error_type="500", seconds=1)
    metrics.failed_after_answer()
    metrics.messages_accepted("accepted")
    metrics.attempt(Answered(status=500, body="", retry_after=None, duration=second))
    metrics.first_attempt_delay(1)
    metrics.delivery_latency("delivered", 1)
    metrics.delivery_exhausted("attempts")
    metrics.batch("accept", size=1, seconds=1)
    metrics.queue_sampled({"due": 1}, oldest_due_age=1)
    metrics.worker(inflight=1, capacity=1)
    metrics.endpoint_disabled("gone")
    metrics.breakers_open(1)
    metrics.eventloop_lag(1)
    metrics.pool_waited("database", 1)
    metrics.observe_pool("database", size=lambda: 1, checked_out=lambda: 1)


def _is_known(name: str, known: set[str]) -> bool:
    return any(each in known for each in _spellings(name))


def _spellings(name: str) -> Iterator[str]:
    yield name
    for failure, success in FAILURES.items():
        if failure in name:
            yield name.replace(failure, success)
