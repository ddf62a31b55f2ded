"""The compose file, read by compose itself."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.stack import programs
from deploy.stack.processes import ROOT


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The file as compose understands it, every profile included."""
    command = [str(programs.build(programs.COMPOSE)), "--profile", "*", "config", "--format", "json"]
    # Not what a developer's own .env says.
    environment = {"PATH": os.environ["PATH"], "COMPOSE_DISABLE_ENV_FILE": "1", "HOME": str(Path.home())}
    document: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT, env=environment))
    return document


def test_every_image_has_a_version(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()}

    assert all(re.fullmatch(r"[^:]+:v?\d+\.\d+(\.\d+)?", image) for image in images)


def test_nothing_is_published_beyond_loopback(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_the_database_is_on_a_network_without_a_way_out(compose: dict[str, Any]) -> None:
    assert set(compose["services"]["postgres"]["networks"]) == {"database"}
    assert compose["networks"]["database"]["internal"] is True


def test_relevo_serves_once_the_schema_is_there(compose: dict[str, Any]) -> None:
    for name in ("serve", "worker"):
        assert compose["services"][name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert compose["services"]["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_relevo_needs_no_privilege_and_writes_nothing_to_its_image(compose: dict[str, Any]) -> None:
    ours = [service for service in compose["services"].values() if service["image"].startswith("relevo:")]

    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_the_containers_read_from_the_tree_is_there(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    bound = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]

    assert bound
    assert all(path.exists() for path in bound)


def test_every_address_that_the_collector_is_given_is_one_it_reads() -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    for service, config in {"collector": "otel-collector.yaml", "jaeger": "deploy/jaeger/jaeger.yaml"}.items():
        text = (ROOT / config).read_text()
        assert all(f"${{env:{name}:-" in text for name in document["services"][service]["environment"])
