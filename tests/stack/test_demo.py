"""The demo with real witnesses."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from tests.stack.conftest import IMPATIENT
from tests.support.patience import patient

WIDE = {**os.environ, "COLUMNS": "160"}


def demo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """`relevo demo`, to its end."""
    command = [sys.executable, "-m", "service", "demo", *arguments]
    return subprocess.run(command, env=WIDE, capture_output=True, text=True, check=False)


def test_a_demo_without_the_stack_it_was_told_of_says_what_makes_one(tmp_path: Path) -> None:
    missing = tmp_path / "stack.json"

    done = demo("--stack", str(missing))

    assert done.returncode == 1
    assert f"There is no file {missing}" in done.stderr
    assert "make stack" in done.stderr


def test_the_demo_finds_its_story_in_a_stack_that_at_a_terminal_stays_until_enter(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.stack", "--free-ports", "--demo"]
    with (
        (tmp_path / "story").open("w") as story,
        terminal() as (keys, its_end),
        subprocess.Popen(
            command, stdin=its_end, stdout=story, stderr=subprocess.PIPE, text=True, env=WIDE | IMPATIENT
        ) as process,
    ):
        told = _up_to("Enter stops it", process.stderr)
        jaeger = re.search(r"Jaeger +(\S+)/search", told)
        assert jaeger, told
        page = httpx.get(f"{jaeger[1]}/search", trust_env=False)
        services = httpx.get(f"{jaeger[1]}/api/services", trust_env=False).json()["data"]
        os.write(keys, b"\n")
        status = process.wait(timeout=patient(60))

    found = (tmp_path / "story").read_text()
    assert status == 0, told + found
    for where in ("Jaeger finds the attempts", "Prometheus counts 10 messages", r"\S+\.jsonl? has"):
        assert re.search(f"yes {where}", found), found
    assert "relevo" in services
    assert "/static/index-" in page.text


def _up_to(words: str, output: IO[str] | None) -> str:
    told = ""
    for line in output or ():
        told += line
        if words in line:
            break
    return told


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Where to type, and what a program takes for its terminal."""
    keys, its_end = pty.openpty()
    try:
        yield keys, its_end
    finally:
        os.close(keys)
        os.close(its_end)
