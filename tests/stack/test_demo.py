"""The demo with real witnesses."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.stack.processes import Stack


def demo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """`relevo demo`, to its end."""
    command = [sys.executable, "-m", "service", "demo", *arguments]
    environment = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_demo_finds_its_story_in_jaeger_prometheus_and_the_log(stack: Stack, tmp_path: Path) -> None:
    addresses = tmp_path / "stack.json"
    addresses.write_text(stack.as_json())

    done = demo("--stack", str(addresses))

    assert done.returncode == 0, done.stdout + done.stderr
    for found in ("yes Jaeger finds the attempts", "yes Prometheus counts 10 messages", f"yes {stack.logs} has"):
        assert found in done.stdout


def test_a_demo_without_the_stack_it_was_told_of_says_what_makes_one(tmp_path: Path) -> None:
    missing = tmp_path / "stack.json"

    done = demo("--stack", str(missing))

    assert done.returncode == 1
    assert f"There is no {missing}" in done.stderr
    assert "make stack" in done.stderr
