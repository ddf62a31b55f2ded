"""deploy/security.md says what an attacker gets; this says that the tests it names are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "deploy" / "security.md"


def test_every_test_that_the_security_tables_name_is_there() -> None:
    named = re.findall(r"`(test_\w+)`", TABLES.read_text())

    assert len(named) > 50
    assert set(named) - _tests() == set()


def test_every_row_of_the_security_tables_names_a_test() -> None:
    rows = [line for line in TABLES.read_text().splitlines() if line.startswith("| ") and "| what the " not in line]

    assert rows
    assert [row for row in rows if not re.search(r"\| [^|]*`test_\w+`[^|]* \|$", row)] == []


def _tests() -> set[str]:
    """The names of all tests, whether or not they are run here."""
    return {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
