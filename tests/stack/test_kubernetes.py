"""The manifests: rendered by kustomize, checked against the schemas of the Kubernetes API, and added up."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.stack import programs
from deploy.stack.processes import COLLECTOR_CONFIG, ROOT
from service.observability.telemetry import CLOSING_BUDGET
from service.settings import Settings
from tests.stack.expressions import rules

MANIFESTS = ROOT / "deploy" / "kubernetes"
OVERLAYS = ["base", "overlays/prometheus-operator", "overlays/collected"]
OPERATOR_KINDS = {"ServiceMonitor", "PrometheusRule"}

Resource = dict[str, Any]


def rendered(overlay: str) -> list[Resource]:
    """The resources of an overlay."""
    # The collector's configuration lies above its directory: there is one for everybody.
    command = [str(programs.build(programs.KUSTOMIZE)), "build", "--load-restrictor", "LoadRestrictionsNone"]
    return list(yaml.safe_load_all(subprocess.check_output([*command, str(MANIFESTS / overlay)])))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_to_what_the_api_accepts(overlay: str) -> None:
    for resource in rendered(overlay):
        if resource["kind"] not in OPERATOR_KINDS:
            kubernetes_validate.validate(resource, "1.37", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_fits_the_restricted_profile(overlay: str) -> None:
    for pod in _pods(rendered(overlay)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", ["relevo-serve", "relevo-worker"])
def test_the_grace_period_covers_all_that_leaving_takes(name: str) -> None:
    (deployment,) = [
        each for each in rendered("base") if each["metadata"]["name"] == name and each["kind"] == "Deployment"
    ]
    pod = deployment["spec"]["template"]["spec"]
    pause = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)

    assert pod["terminationGracePeriodSeconds"] > pause + 2 * Settings().delivery.drain + CLOSING_BUDGET


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_choose_pods_that_there_are(overlay: str) -> None:
    resources = rendered(overlay)
    labels = [
        each["spec"]["template"]["metadata"]["labels"] for each in resources if each["kind"] in {"Deployment", "Job"}
    ]
    selectors = [each["spec"]["selector"] for each in resources if each["kind"] == "Service"]
    selectors += [
        each["spec"]["selector"]["matchLabels"] for each in resources if each["kind"] == "PodDisruptionBudget"
    ]

    assert selectors
    for selector in selectors:
        assert any(selector.items() <= these.items() for these in labels)


def test_the_autoscalers_scale_what_there_is_by_a_metric_that_exists() -> None:
    resources = rendered("base")
    deployments = {each["metadata"]["name"] for each in resources if each["kind"] == "Deployment"}
    scalers = [each["spec"] for each in resources if each["kind"] == "HorizontalPodAutoscaler"]

    assert {each["scaleTargetRef"]["name"] for each in scalers} == deployments
    assert all("replicas" not in each["spec"] for each in resources if each["kind"] == "Deployment")


def test_the_cluster_runs_the_same_collector_configuration() -> None:
    (config,) = [
        each for each in rendered("overlays/collected") if each["metadata"]["name"].startswith("relevo-collector-")
    ]

    assert config["data"]["otel-collector.yaml"] == COLLECTOR_CONFIG.read_text()


def test_the_operator_gets_the_rules_that_were_tested(promtool: Path, tmp_path: Path) -> None:
    (rule,) = [each for each in rendered("overlays/prometheus-operator") if each["kind"] == "PrometheusRule"]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rule["spec"]))

    done = subprocess.run([str(promtool), "check", "rules", str(file)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    copied = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    assert sorted(map(_sorted, copied)) == sorted(map(_sorted, rules()))


def test_metrics_take_one_of_the_two_paths() -> None:
    scraping = next(each for each in rendered("overlays/prometheus-operator") if each["kind"] == "ConfigMap")
    pushing = next(each for each in rendered("base") if each["kind"] == "ConfigMap")

    assert scraping["data"]["OTEL_METRICS_EXPORTER"] == "none"
    assert "OTEL_METRICS_EXPORTER" not in pushing["data"]


def _pods(resources: list[Resource]) -> list[Resource]:
    return [each["spec"]["template"]["spec"] for each in resources if each["kind"] in {"Deployment", "Job"}]


def _sorted(rule: Mapping[str, Any]) -> str:
    # kustomize puts keys in an order of its own.
    return json.dumps(rule, sort_keys=True)
