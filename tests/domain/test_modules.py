"""Every module of the domain that decides something has tests of its own."""

import ast
from pathlib import Path

import pytest

import service.domain

MODULES = [path for path in Path(service.domain.__file__).parent.glob("*.py") if path.stem != "__init__"]


def decides(module: Path) -> bool:
    """Whether there is a function in it: what only holds values has nothing to be wrong about."""
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(module.read_text())))


@pytest.mark.parametrize("module", [module for module in MODULES if decides(module)], ids=lambda module: module.stem)
def test_a_module_that_decides_has_tests_of_its_own(module: Path) -> None:
    assert (Path(__file__).parent / f"test_{module.stem}.py").exists()
