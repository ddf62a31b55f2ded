"""What the documents point at is there: files by links and by paths, tests by their names."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for floor in ("service", "tests", "deploy") for path in sorted((ROOT / floor).rglob("*.md"))),
]

_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]+\.(?:py|md|ya?ml|json|toml|sh|c)|(?:service|tests|deploy)(?:/[\w.-]+)+/?")
_TEST = re.compile(r"test_\w+")
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_points_at_is_there(document: Path) -> None:
    text = document.read_text()
    functions, modules = set(defined()), {path.stem for path in (ROOT / "tests").rglob("test_*.py")}

    links = [target for target in _LINK.findall(text) if not (document.parent / target).exists()]
    code = _CODE.findall(text)
    paths = [named for named in code if _PATH.fullmatch(named) and not is_there(named, document)]
    tests = [named for named in code if _TEST.fullmatch(named) and named not in functions | modules]

    assert {"links": links, "paths": paths, "tests": tests} == {"links": [], "paths": [], "tests": []}


def test_the_documents_point_at_tests_at_all() -> None:
    """Otherwise the test above would prove nothing."""
    patterns = (ROOT / "service" / "README.md").read_text()

    assert len([target for target in _LINK.findall(patterns) if target.startswith("../tests/")]) > 20
    assert any(_TEST.fullmatch(named) for named in _CODE.findall(patterns))


def test_the_readme_is_read_in_some_minutes() -> None:
    assert (ROOT / "README.md").stat().st_size < 10_000


def is_there(named: str, document: Path) -> bool:
    """Below the root, the packages, or the document itself; what is built is there once it was."""
    if named.startswith("build/"):
        return True
    places = [ROOT, ROOT / "service", ROOT / "tests", ROOT / "deploy", document.parent]
    return any((place / named).exists() for place in places)


def defined() -> Iterator[str]:
    """The name of every test."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        yield from _DEFINED.findall(path.read_text())
