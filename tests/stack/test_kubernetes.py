"""The manifests and the chart: rendered, checked against the schemas of the Kubernetes API, compared, and added up."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.stack import programs
from deploy.stack.processes import COLLECTOR_CONFIG, ROOT
from service.observability.telemetry import CLOSING_BUDGET_S
from service.settings import Settings
from tests.stack.expressions import rules

MANIFESTS = ROOT / "deploy" / "kubernetes"
CHART = ROOT / "deploy" / "helm" / "relevo"
OPERATOR_KINDS = {"ServiceMonitor", "PrometheusRule"}
# Every overlay, and the values that make the same of the chart.
OVERLAYS: Mapping[str, Mapping[str, Any]] = {
    "base": {},
    "overlays/collected": {"collector": {"enabled": True}},
    "overlays/prometheus-operator": {"collector": {"enabled": True}, "prometheusOperator": {"enabled": True}},
    "overlays/example": {
        "image": {"repository": "registry.example.com/team/relevo"},
        "environment": "staging",
        "settings": {"RELEVO_LOG_LEVEL": "info"},
        "ingress": {"enabled": True, "host": "hooks.example.com"},
        "collector": {"enabled": True},
        "prometheusOperator": {"enabled": True, "labels": {"release": "prometheus"}},
    },
}

Resource = dict[str, Any]


def rendered(overlay: str) -> list[Resource]:
    """The resources of an overlay."""
    command = [str(programs.build(programs.KUSTOMIZE)), "build", str(MANIFESTS / overlay)]
    return list(yaml.safe_load_all(subprocess.check_output(command)))


def templated(values: Mapping[str, Any]) -> list[Resource]:
    """The resources that the chart makes."""
    command = [str(programs.build(programs.HELM)), "template", "relevo", str(CHART), "--values", "-"]
    text = subprocess.check_output(command, input=yaml.safe_dump(dict(values)), text=True)
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_to_what_the_api_accepts(overlay: str) -> None:
    for resource in [*rendered(overlay), *templated(OVERLAYS[overlay])]:
        if resource["kind"] not in OPERATOR_KINDS:
            kubernetes_validate.validate(resource, "1.37", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_chart_makes_what_kustomize_makes(overlay: str) -> None:
    of_kustomize = {_id(each): _comparable(each) for each in rendered(overlay) if each["kind"] != "Namespace"}
    of_helm = {_id(each): _comparable(each) for each in templated(OVERLAYS[overlay])}

    assert of_helm == of_kustomize


def test_the_chart_lints() -> None:
    command = [str(programs.build(programs.HELM)), "lint", "--strict", "--quiet", str(CHART)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replicas": 3}, "'replicas' not allowed"),
        ({"serve": {"replica": {"min": 3}}}, "'replica' not allowed"),
        ({"settings": {"relevo_log_level": "debug"}}, "'relevo_log_level' does not match"),
        ({"worker": {"replicas": {"min": 0}}}, "/worker/replicas/min"),
    ],
)
def test_a_value_that_is_none_of_the_charts_is_refused_by_name(values: Mapping[str, Any], told: str) -> None:
    command = [str(programs.build(programs.HELM)), "template", "relevo", str(CHART), "--values", "-"]

    done = subprocess.run(command, input=yaml.safe_dump(dict(values)), capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert told in done.stderr


def test_settings_of_ones_own_win_over_what_follows_from_other_values() -> None:
    values = {"settings": {"OTEL_RESOURCE_ATTRIBUTES": "a=b", "RELEVO_DISABLE_AFTER": 432000}}

    (settings,) = [each for each in templated(values) if each["kind"] == "ConfigMap"]

    assert settings["data"]["OTEL_RESOURCE_ATTRIBUTES"] == "a=b"
    assert settings["data"]["RELEVO_DISABLE_AFTER"] == "432000"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_argo_cd_migrates_after_what_a_migration_needs_and_before_what_needs_it(overlay: str) -> None:
    waves = {_id(each): _wave(each) for each in rendered(overlay)}
    migration = waves["Job/relevo-migrate"]

    needed = {
        name for name in waves if name.startswith(("Namespace/", "NetworkPolicy/relevo", "NetworkPolicy/nothing"))
    }
    assert {name for name, wave in waves.items() if wave < migration} == needed - {"NetworkPolicy/relevo-collector"}
    assert all(wave > migration for name, wave in waves.items() if name.startswith("Deployment/"))
    assert min(waves, key=waves.__getitem__) == "Namespace/relevo"


def test_a_migration_waits_for_nothing_that_helm_installs_after_it() -> None:
    (job,) = [each for each in templated({}) if each["kind"] == "Job"]
    pod = job["spec"]["template"]["spec"]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "serviceAccountName" not in pod
    assert "envFrom" not in pod["containers"][0]
    assert [volume for volume in pod["volumes"] if "emptyDir" not in volume] == []


def test_relevo_may_reach_postgresql_and_pgbouncer_wherever_they_are() -> None:
    (policy,) = [each for each in rendered("base") if _id(each) == "NetworkPolicy/relevo"]
    anywhere = [rule["ports"] for rule in policy["spec"]["egress"] if "to" not in rule]

    assert anywhere == [[{"port": 5432}, {"port": 6432}]]


def test_relevo_may_reach_a_collector_in_any_namespace() -> None:
    (policy,) = [each for each in rendered("base") if _id(each) == "NetworkPolicy/relevo"]
    rules = [rule["ports"] for rule in policy["spec"]["egress"] if rule.get("to") == [{"namespaceSelector": {}}]]

    assert rules == [[{"port": 4317}, {"port": 4318}]]


@pytest.mark.parametrize("name", ["serve", "worker", "migrate"])
def test_a_pod_knows_the_way_past_a_pooler_where_the_secret_has_one(name: str) -> None:
    containers = [container for pod in _pods(rendered("base")) for container in pod["containers"]]
    (container,) = [each for each in containers if each["name"] == name]
    (variable,) = [each for each in container["env"] if each["name"] == "RELEVO_DATABASE_DIRECT_URL"]

    assert variable["valueFrom"]["secretKeyRef"] == {
        "name": "relevo",
        "key": "database-direct-url",
        "optional": True,
    }


@pytest.mark.parametrize("kind", sorted(OPERATOR_KINDS))
def test_kube_prometheus_stack_selects_what_is_for_its_operator(kind: str) -> None:
    (resource,) = [each for each in rendered("overlays/prometheus-operator") if each["kind"] == kind]

    assert resource["metadata"]["labels"] == {"release": "kube-prometheus-stack"}


def test_what_is_scraped_has_the_labels_that_the_dashboards_narrow_by() -> None:
    (monitor,) = [each for each in rendered("overlays/prometheus-operator") if each["kind"] == "ServiceMonitor"]
    (endpoint,) = monitor["spec"]["endpoints"]

    assert [each["targetLabel"] for each in endpoint["relabelings"]] == ["relevo_role", "deployment_environment_name"]


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

    assert pod["terminationGracePeriodSeconds"] > pause + 2 * Settings().delivery.drain + CLOSING_BUDGET_S


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
    scraping = _settings(rendered("overlays/prometheus-operator"))
    pushing = _settings(rendered("base"))

    assert scraping["data"]["OTEL_METRICS_EXPORTER"] == "none"
    assert "OTEL_METRICS_EXPORTER" not in pushing["data"]


def _pods(resources: list[Resource]) -> list[Resource]:
    return [each["spec"]["template"]["spec"] for each in resources if each["kind"] in {"Deployment", "Job"}]


def _settings(resources: list[Resource]) -> Resource:
    (found,) = [each for each in resources if _id(each) == "ConfigMap/relevo"]
    return found


def _id(resource: Resource) -> str:
    """Kind and name, without what kustomize adds to a ConfigMap's."""
    name = resource["metadata"]["name"]
    return f"{resource['kind']}/{re.sub('-[a-z0-9]{10}$', '', name) if resource['kind'] == 'ConfigMap' else name}"


def _wave(resource: Resource) -> int:
    return int(resource["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0"))


def _comparable(resource: Resource) -> Resource:
    """Without what only one of kustomize and Helm has: the namespace, hooks, and how a change of settings is seen."""
    text = re.sub(r'"(relevo|relevo-collector)-[a-z0-9]{10}"', r'"\1"', json.dumps(resource))
    plain: Resource = json.loads(text)
    plain["metadata"].pop("namespace", None)
    if plain["kind"] == "Job":
        del plain["metadata"]["annotations"]
    if plain["kind"] == "Deployment":
        plain["spec"]["template"]["metadata"].pop("annotations", None)
    if plain["kind"] == "Ingress":
        plain["metadata"].pop("annotations", None)
    return plain


def _sorted(rule: Mapping[str, Any]) -> str:
    # kustomize puts keys in an order of its own.
    return json.dumps(rule, sort_keys=True)
