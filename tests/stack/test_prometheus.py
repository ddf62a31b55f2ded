"""Rules, dashboards and runbook: judged by promtool, and by what there really is to read."""

import subprocess
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import yaml

from deploy.stack.processes import PROMETHEUS_DIRECTORY, Stack
from tests.stack.expressions import LOSSES, dashboards, expressions, names_in, rules, runbook_entries
from tests.stack.relevo import eventually
from tests.stack.story import Story

TESTS = sorted((PROMETHEUS_DIRECTORY / "tests").glob("*.yml"))
ALERTS = {str(rule["alert"]): rule for rule in rules() if "alert" in rule}


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


def test_every_metric_that_is_read_was_seen(stack: Stack, story: Story) -> None:
    assert story.prompt
    read = {name for _, expression in expressions() for name in names_in(expression)}
    assert read > LOSSES

    eventually(lambda: not _unseen(stack, read), else_tell=lambda: sorted(_unseen(stack, read)))


def test_every_panel_and_rule_is_valid_promql(stack: Stack) -> None:
    for where, expression in expressions():
        query = urlencode({"query": expression.replace("$__rate_interval", "1m")})

        answer = httpx.get(f"{stack.prometheus}/api/v1/query?{query}", trust_env=False)

        assert answer.is_success, f"{where}: {answer.text}"


def test_dashboards_read_from_the_provisioned_source_and_have_names_of_their_own() -> None:
    found = dashboards()

    assert len({dashboard["uid"] for dashboard in found}) == len(found) == 5
    assert {panel["datasource"]["uid"] for dashboard in found for panel in dashboard["panels"]} == {"prometheus"}


def _unseen(stack: Stack, read: set[str]) -> set[str]:
    names = httpx.get(f"{stack.prometheus}/api/v1/label/__name__/values", trust_env=False).json()["data"]
    return read - set(names) - LOSSES
