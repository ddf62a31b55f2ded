"""The house as a stranger reads it: a class's name means one thing, and errors below the API know nothing of HTTP."""

import ast
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVICE = ROOT / "service"
TESTS = ROOT / "tests"
# What silences a tool, with or without its reason behind another `#` or ` -`.
SILENCER = re.compile(r"# (noqa|type: ?ignore|pragma:)")
REASONED = re.compile(r"# (noqa: [A-Z0-9]+(, [A-Z0-9]+)*|type: ignore\[[a-z, -]+\]|pragma: [a-z ]+?)( -|  ?#) \S")
PLACES = {"body", "query", "header", "path", "cookie"}


def modules(*floors: str) -> Iterator[tuple[str, ast.Module]]:
    """Every module on these floors, or on all, with its path."""
    for place in [SERVICE / floor for floor in floors] or [SERVICE]:
        for path in sorted(place.rglob("*.py")):
            yield str(path.relative_to(SERVICE)), ast.parse(path.read_text())


def test_no_two_classes_of_the_service_have_one_name() -> None:
    homes = defaultdict[str, list[str]](list)
    for path, module in modules():
        for node in module.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(path)

    assert len(homes) > 300
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_below_the_api_a_refusal_names_a_field_of_the_domain_and_no_place_of_http() -> None:
    fields = [
        (path, ast.literal_eval(keyword.value))
        for path, module in modules("domain", "application", "delivery", "adapters")
        for call in ast.walk(module)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "field" and isinstance(keyword.value, ast.Tuple) and _is_literal(keyword.value)
    ]

    assert len(fields) > 10
    assert [(path, field) for path, field in fields if PLACES & set(field) or any(map(_is_camel, field))] == []


def test_what_silences_a_tool_says_why() -> None:
    comments = [
        (f"{path.relative_to(ROOT)}:{token.start[0]}", token.string)
        for path in (*SERVICE.rglob("*.py"), *TESTS.rglob("*.py"))
        for token in _comments(path)
        if SILENCER.match(token.string)
    ]

    assert len(comments) > 50
    assert [(place, text) for place, text in comments if not REASONED.match(text)] == []


def test_no_test_asserts_that_there_is_what_it_was_given() -> None:
    idle = [
        f"{path.relative_to(ROOT)}:{function.lineno} {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for name in _only_asserted(function)
    ]

    assert idle == [], "`@pytest.mark.usefixtures` says that a test needs what it does not name"


def test_the_domain_remembers_nothing() -> None:
    remembering = [
        (path, node.id if isinstance(node, ast.Name) else node.attr)
        for path, module in modules("domain")
        for node in ast.walk(module)
        if isinstance(node, ast.Name | ast.Attribute)
        if (node.id if isinstance(node, ast.Name) else node.attr) in {"cache", "lru_cache", "cached_property"}
    ]

    assert remembering == []


def test_only_lines_of_their_own_notify_and_none_of_them_within_a_transaction() -> None:
    """A NOTIFY in a transaction has all such commits wait for each other."""
    notifying = {
        path.relative_to(SERVICE).as_posix(): path.read_text()
        for path in SERVICE.rglob("*")
        if path.suffix in {".py", ".sql"} and "pg_notify" in path.read_text()
    }

    lines = {"adapters/postgres/queue/attempt_news.py", "adapters/postgres/server/wakeups.py"}
    # A trigger, of a table whose rows hardly ever change.
    rare = {"adapters/postgres/server/migrations/versions/0024_homes.py"}
    assert notifying.keys() == lines | rare
    assert [path for path, text in notifying.items() if "transaction(" in text] == []


def _comments(path: Path) -> Iterator[tokenize.TokenInfo]:
    if not SILENCER.search(path.read_text()):
        return  # to look for words takes a hundredth of the time that it takes to tell a comment from a text
    with path.open("rb") as file:
        yield from (token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT)


def _only_asserted(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The parameters of a function that nothing is done with, but to say that they are there."""
    given = {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
    asserted = [
        node.test.id for node in function.body if isinstance(node, ast.Assert) and isinstance(node.test, ast.Name)
    ]
    if given.isdisjoint(asserted):
        return set()
    named = Counter(node.id for node in ast.walk(function) if isinstance(node, ast.Name))
    return {name for name in asserted if name in given and named[name] == 1}


def _is_literal(value: ast.Tuple) -> bool:
    return all(isinstance(element, ast.Constant) for element in value.elts)


def _is_camel(name: str) -> bool:
    return name != name.lower()
