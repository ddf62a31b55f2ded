"""Copies of the collector's configuration and Prometheus' rules, for tools that read only their own directory."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

CHART = "deploy/helm/relevo"
_KUBERNETES = "deploy/kubernetes"

_PROMETHEUS_RULE = """\
# Made by `make manifests` of deploy/prometheus/rules.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: relevo
  labels:
    # What kube-prometheus-stack selects by, where that is the name of its Helm release.
    release: kube-prometheus-stack
spec:
"""


def copies(root: Path) -> Mapping[str, str]:
    """The text of each generated file, by its path below `root`."""
    collector = (root / "otel-collector.yaml").read_text()
    groups = _groups(root)
    rule = _PROMETHEUS_RULE + textwrap.indent(groups, "  ", lambda line: bool(line.strip()))
    return {
        f"{_KUBERNETES}/collector/otel-collector.yaml": collector,
        f"{_KUBERNETES}/overlays/prometheus-operator/prometheus-rule.yaml": rule,
        f"{CHART}/files/otel-collector.yaml": collector,
        f"{CHART}/files/rules.yaml": f"# Made by `make manifests` of deploy/prometheus/rules.\n{groups}",
    }


def _groups(root: Path) -> str:
    """The rule groups of all files as one list."""
    texts = [
        file.read_text().partition("\ngroups:\n")[2]
        for file in sorted((root / "deploy/prometheus/rules").glob("*.yml"))
    ]
    return "groups:\n" + "".join(texts)
