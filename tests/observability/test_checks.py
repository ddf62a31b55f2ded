"""The table of what is checked of telemetry names tests that there are."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "deploy" / "observability-checks.md"
ROWS = re.findall(r"^\| (\d+) \| (.+)$", TABLE.read_text(), re.MULTILINE)
MEASURED = {"26"}


def test_the_table_has_every_check_once() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 27))


@pytest.mark.parametrize(("number", "row"), ROWS, ids=[number for number, _ in ROWS])
def test_a_check_names_tests_and_files_that_there_are(number: str, row: str) -> None:
    tests = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
    files = re.findall(r"\(\.\./([\w/]+\.py)\)", row)

    assert tests or (files and number in MEASURED)
    assert not [f"{file}::{name}" for file, name in tests if name not in named_in(ROOT / "tests" / file)]
    assert not [file for file in files if not (ROOT / file).exists()]


def named_in(file: Path) -> set[str]:
    """The functions of a file, none if there is no such file."""
    if not file.exists():
        return set()
    tree = ast.parse(file.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
