"""The house as a stranger reads it: a class's name means one thing, and errors below the API know nothing of HTTP."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVICE = ROOT / "service"
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


def _is_literal(value: ast.Tuple) -> bool:
    return all(isinstance(element, ast.Constant) for element in value.elts)


def _is_camel(name: str) -> bool:
    return name != name.lower()
