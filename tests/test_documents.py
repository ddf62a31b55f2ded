"""What the documents name is there: files, folders, tests, words of the code, targets of make, commands, settings."""

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
from pydantic.alias_generators import to_camel

from service.adapters.destinations.clients import NEEDED
from service.domain.sink_configs import SINKS
from service.domain.sinks import SinkKind
from service.settings import Settings

ROOT = Path(__file__).parents[1]
FLOORS = [ROOT / floor for floor in ("service", "tests", "deploy")]
DOCUMENTS = [*ROOT.glob("*.md"), *(path for floor in FLOORS for path in sorted(floor.rglob("*.md")))]

_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_GENERATED = re.compile(r"<!-- (\w+) -->.*<!-- /\1 -->", re.DOTALL)  # which have tests of their own
_INDENTED = re.compile(r"^    (.+)$", re.MULTILINE)
_PATH = re.compile(
    r"(?:[\w.-]+/)+[\w.-]+\.(?:py|sql|md|ya?ml|json|toml|sh|c)|(?:[a-z_]+/)+|(?:service|tests|deploy)(?:/[\w.-]+)+"
)
_FILE = re.compile(r"[\w-]+\.(?:py|sql|md|ya?ml|toml|sh|lock)")
_TEST = re.compile(r"test_\w+")
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\(\))?")
_WORD = re.compile(r"[A-Za-z_]\w*")
_TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
_COMMAND = re.compile(r"\brelevo (?:--\w+ )*([a-z]+)\b")
_KIND = re.compile(rf"^\| `({'|'.join(SinkKind)})` \|(.*)\|$", re.MULTILINE)
_VARIABLE = re.compile(r"\bRELEVO_[A-Z_]+\b")

CODE = {
    ".py",
    ".conf",
    ".properties",
    ".sql",
    ".yml",
    ".yaml",
    ".json",
    ".toml",
    ".tpl",
    ".go",
    ".jq",
    ".txt",
    ".lock",
    "",
}
# Other projects' words: libraries that were not taken, and settings of programs that were tried by hand.
FOREIGN = {
    "LRUCache.get",
    "authlib",
    "cachetools",
    "debootstrap",
    "enable_multi_variant_queries",
    "stamina",
    "svcs",
    "tenacity",
    "whitelist_subnets",
    "wsproto",
}
# What others read than Relevo's servers do.
NOT_SETTINGS = {"RELEVO_TOKEN", "RELEVO_TEST_PATIENCE"}

NOTHING: dict[str, list[str]] = {"links": [], "paths": [], "files": [], "tests": []}

of_every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@of_every_document
def test_what_a_document_points_at_is_there(document: Path) -> None:
    text = document.read_text()
    functions, modules = set(defined()), {path.stem for path in (ROOT / "tests").rglob("test_*.py")}

    links = [target for target in _LINK.findall(text) if not (document.parent / target).exists()]
    code = _CODE.findall(text)
    paths = [named for named in code if _PATH.fullmatch(named) and not is_there(named, document)]
    files = [named for named in code if _FILE.fullmatch(named) and named not in file_names()]
    tests = [named for named in code if _TEST.fullmatch(named) and named not in functions | modules]

    assert {"links": links, "paths": paths, "files": files, "tests": tests} == NOTHING


@of_every_document
def test_what_a_document_quotes_as_code_is_a_word_of_the_code(document: Path) -> None:
    text = _GENERATED.sub("", document.read_text())
    named = {named for named in _CODE.findall(text) if _NAME.fullmatch(named)} - FOREIGN

    assert {name for name in named if not set(_WORD.findall(name)) <= words()} == set()


@of_every_document
def test_every_target_command_and_setting_of_a_document_can_be_given(document: Path) -> None:
    text = document.read_text()
    typed = "\n".join([*_CODE.findall(text), *_INDENTED.findall(text)])

    assert set(_TARGET.findall(typed)) - targets() == set()
    if "kubectl" not in typed:  # whose own words follow a namespace's name
        assert set(_COMMAND.findall(typed)) - commands() == set()
    assert set(_VARIABLE.findall(text)) - NOT_SETTINGS - {row.variable for row in Settings.describe()} == set()


@of_every_document
def test_every_deployment_that_a_document_names_is_one_of_the_manifests(document: Path) -> None:
    manifests = "\n".join(path.read_text() for path in (ROOT / "deploy/kubernetes").rglob("*.yaml"))
    deployed = set(re.findall(r"^kind: Deployment\nmetadata:\n  name: (\S+)", manifests, re.MULTILINE))

    assert {"relevo-serve", "relevo-worker"} <= deployed
    assert set(re.findall(r"deployment/([\w-]+)", document.read_text())) - deployed == set()


def test_the_map_of_the_code_has_every_package_and_the_layers_that_the_linter_keeps() -> None:
    text = (ROOT / "service/README.md").read_text()
    drawn = {name.strip("/").removesuffix(".py") for name in re.findall("[├└]── ([\\w./]+)", text)}
    packages = {
        path.stem for path in (ROOT / "service").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    told = re.findall(r"`(\w+)`", text.partition("Imports point inwards")[2].partition(";")[0])
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    assert packages - {"__init__"} - drawn == set()
    assert [name for name in drawn if not any((ROOT / "service").rglob(f"{name}*"))] == []
    assert told == [name for layer in contracts[0]["layers"] for name in layer.split(" | ")]


def test_the_documents_name_enough_for_these_tests_to_prove_something() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    code = _CODE.findall(text)

    assert len([target for target in _LINK.findall(text) if target.startswith("../tests/")]) > 20
    assert any(_TEST.fullmatch(named) for named in code)
    assert len({named for named in code if _PATH.fullmatch(named)}) > 50
    assert len({named for named in code if _NAME.fullmatch(named)}) > 300
    assert {"demo", "check", "test-faults"} <= set(_TARGET.findall(text))
    assert {"tail", "token", "migrate"} <= set(_COMMAND.findall(text)) & commands()


def test_the_readme_is_read_in_some_minutes() -> None:
    assert (ROOT / "README.md").stat().st_size < 10_000


def is_there(named: str, document: Path) -> bool:
    """Below the root, a package, or the document itself; what is built is there once it was."""
    if named.startswith("build/"):
        return True
    places = [
        ROOT,
        *FLOORS,
        document.parent,
        ROOT / "service" / "adapters" / "postgres",
        ROOT / "deploy" / "kubernetes",
    ]
    return any((place / named).exists() for place in places)


def defined() -> Iterator[str]:
    """The name of every test."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        yield from _DEFINED.findall(path.read_text())


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project."""
    below = (path for floor in FLOORS for path in floor.rglob("*"))
    return tuple(path for path in [*ROOT.iterdir(), *below] if path.is_file() and "__pycache__" not in path.parts)


@cache
def file_names() -> frozenset[str]:
    """Their names."""
    return frozenset(path.name for path in files())


@cache
def words() -> frozenset[str]:
    """Every word of the code, names of modules, packages and what comes with Python included."""
    code = [path for path in files() if path.suffix in CODE]
    said = (word for path in code for word in _WORD.findall(path.read_text(errors="ignore")))
    return frozenset(said) | {part for path in code for part in path.with_suffix("").parts} | sys.stdlib_module_names


@cache
def targets() -> frozenset[str]:
    """What `make` can make."""
    return frozenset(re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def commands() -> frozenset[str]:
    """What `relevo` can be told to do."""
    return frozenset(re.findall(r"\badd\(\"([a-z]+)\"", (ROOT / "service" / "__main__.py").read_text()))


def test_every_type_of_destination_is_in_the_tables_for_callers_and_operators() -> None:
    callers, operators = (ROOT / "service/api/README.md").read_text(), (ROOT / "deploy/brokers.md").read_text()
    extras = {kind: f"`{extra}`" for kind, (_, extra) in NEEDED.items()}
    not_sent = {SinkKind.FIFO, SinkKind.POLLING}

    told = {kind: set(_CODE.findall(rest)) for kind, rest in _KIND.findall(callers)}
    assert told == {kind: {to_camel(each.name) for each in fields(sink)} for kind, sink in SINKS.items()}
    told_extras = {kind: rest.partition("|")[0].strip() for kind, rest in _KIND.findall(operators)}
    assert told_extras == {kind: extras.get(kind, "") for kind in set(SinkKind) - not_sent}
