"""Every target is there once, and those that run Relevo install no more than that takes."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()


def test_a_target_has_one_recipe_and_is_known_to_be_no_file() -> None:
    targets = Counter(re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, re.MULTILINE))
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)

    assert set(targets.values()) == {1}
    assert set(targets) == set(" ".join(phony).split())


@pytest.mark.parametrize(
    ("target", "lock"),
    [
        *((target, "requirements.lock") for target in ("run", "demo", "migrate")),
        *((target, "requirements-dev.lock") for target in ("setup", "test", "check", "bench", "bench-peers", "stack")),
    ],
)
def test_what_runs_relevo_installs_what_running_takes_and_no_more(tmp_path: Path, target: str, lock: str) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    suite = Path("tests/application/json_schema_suite.txt")
    (tmp_path / suite).parent.mkdir(parents=True)
    shutil.copy(ROOT / suite, tmp_path / suite)

    said = subprocess.run(["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert re.findall(r"deploy\.installation \S+ (\S+)", said.stdout) == [lock]


def test_the_image_installs_what_running_takes_and_no_more() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert set(re.findall(r"requirements\S*\.lock", dockerfile)) == {"requirements.lock"}
    assert re.search(r'"--require-hashes", "--requirement", "requirements\.lock"', dockerfile)
