"""The PromQL of the rules, the dashboards and the runbook, and the names in it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from deploy.stack.processes import PROMETHEUS_DIRECTORY, ROOT

DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
RUNBOOK = ROOT / "deploy" / "runbook.md"

# What the collector counts only once it has lost something, as test_losses.py has it do.
LOSSES = frozenset(
    f"otelcol_{where}_{lost}_total"
    for where in ("receiver_refused", "exporter_send_failed", "exporter_enqueue_failed")
    for lost in ("spans", "metric_points", "log_records")
)

_STRING = r'"(?:[^"\\]|\\.)*"'
_STRINGS = re.compile(_STRING)
_MATCHED = rf'\{{(?:[^{{}}"]|{_STRING})*\}}'
_SELECTORS = re.compile(rf"\b((?:relevo|http|otel|otelcol|traces)[_:][a-z0-9_:]+)({_MATCHED})?")
_MATCHERS = re.compile(r"\{[^{}]*\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_OURS = re.compile(r"\b(?:relevo|http|otel|otelcol|traces)_[a-z0-9_]+\b(?!:)")


def names_in(expression: str) -> set[str]:
    """The metrics that an expression reads, our recording rules aside."""
    bare = _GROUPING.sub("", _MATCHERS.sub("", _STRINGS.sub("", expression)))
    return set(_OURS.findall(bare))


def selectors_in(expression: str) -> list[tuple[str, str]]:
    """Each metric that an expression reads, with the matchers behind it."""
    bare = _GROUPING.sub("", expression)
    return [(found[1], found[2] or "") for found in _SELECTORS.finditer(bare)]


def rules() -> list[Mapping[str, Any]]:
    """Every rule of every file."""
    files = sorted((PROMETHEUS_DIRECTORY / "rules").glob("*.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def dashboards() -> list[Mapping[str, Any]]:
    """Every dashboard."""
    return [json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json"))]


def runbook_entries() -> dict[str, str]:
    """Heading and text."""
    _, *entries = RUNBOOK.read_text().split("\n## ")
    return {heading: text for heading, _, text in (entry.partition("\n") for entry in entries)}


def runbook_searches() -> list[str]:
    """What the runbook puts into the field Tags of Jaeger's search."""
    return sorted(set(re.findall(r"Jaeger, tags `([^`]+)`", RUNBOOK.read_text())))


def expressions() -> Iterator[tuple[str, str]]:
    """All of them, each with where it stands."""
    for rule in rules():
        yield str(rule.get("alert") or rule.get("record")), rule["expr"]
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{dashboard['title']}: {panel['title']}", target["expr"]
    for heading, text in runbook_entries().items():
        for block in re.findall(r"```promql\n(.*?)```", text, re.DOTALL):
            yield f"runbook: {heading}", block
