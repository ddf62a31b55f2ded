"""Overlays and chart before a real Kubernetes API server, as the page about deploying has them applied."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.stack.cluster import Cluster, running_cluster
from tests.stack.test_kubernetes import CHART, MANIFESTS, OVERLAYS

# What `deploy/kubernetes/overlays/prometheus-operator` is for; its module has the definitions.
OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One that knows the operator's kinds."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        for kind in ("servicemonitors", "prometheusrules"):
            file = _operator() / "example" / "prometheus-operator-crd" / f"monitoring.coreos.com_{kind}.yaml"
            assert running.kubectl("apply", "--server-side", "-f", str(file)).returncode == 0
            established = running.kubectl("wait", "--for=condition=Established", "--timeout=120s", "-f", str(file))
            assert established.returncode == 0, established.stderr
        yield running


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_applied_without_a_word_of_warning_and_again(cluster: Cluster, overlay: str) -> None:
    cluster.kubectl("-n", "relevo", "delete", "job", "relevo-migrate", "--ignore-not-found")

    for _ in range(2):
        done = cluster.kubectl("apply", "--server-side", "-k", str(MANIFESTS / overlay))

        assert (done.returncode, done.stderr) == (0, "")
        assert all(line.endswith("serverside-applied") for line in done.stdout.splitlines())


def test_a_job_of_the_release_before_is_in_the_way_until_it_is_deleted(cluster: Cluster) -> None:
    cluster.kubectl("-n", "relevo", "delete", "job", "relevo-migrate", "--ignore-not-found")
    assert cluster.kubectl("apply", "--server-side", "-k", str(MANIFESTS / "base")).returncode == 0

    text = cluster.kubectl("kustomize", str(MANIFESTS / "base")).stdout
    later = text.replace("image: relevo:0.1.0", "image: relevo:0.2.0")
    in_the_way = cluster.kubectl("apply", "--server-side", "-f", "-", given=later)
    cluster.kubectl("-n", "relevo", "delete", "job", "relevo-migrate", "--ignore-not-found")
    upgraded = cluster.kubectl("apply", "--server-side", "-f", "-", given=later)

    assert "field is immutable" in in_the_way.stderr
    assert (upgraded.returncode, upgraded.stderr) == (0, "")


def test_the_chart_is_installed_upgraded_and_rolled_back(cluster: Cluster) -> None:
    # There is nobody to run the migration's Job.
    options = ["--namespace", "by-helm", "--no-hooks"]
    values = yaml.safe_dump(dict(OVERLAYS["overlays/example"]))

    steps = [
        cluster.helm("install", "relevo", str(CHART), *options, "--create-namespace", "--values=-", given=values),
        cluster.helm("upgrade", "relevo", str(CHART), *options, "--reuse-values", "--set", "image.tag=0.2.0"),
    ]
    upgraded = _images(cluster)
    steps.append(cluster.helm("rollback", "relevo", *options))

    assert [step.returncode for step in steps] == [0, 0, 0], [step.stderr for step in steps]
    assert upgraded == {"registry.example.com/team/relevo:0.2.0"}
    assert _images(cluster) == {"registry.example.com/team/relevo:0.1.0"}


def _images(cluster: Cluster) -> set[str]:
    names = ["relevo-serve", "relevo-worker"]
    found = cluster.kubectl("--namespace", "by-helm", "get", "deployments", *names, "--output", "json")
    pods = [each["spec"]["template"]["spec"] for each in json.loads(found.stdout)["items"]]
    return {container["image"] for pod in pods for container in pod["containers"]}


def _operator() -> Path:
    described = subprocess.check_output(["go", "mod", "download", "-json", OPERATOR], text=True)
    return Path(json.loads(described)["Dir"])
