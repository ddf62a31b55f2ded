"""Patterns of the schemas that release 0.1.0 stored: in Python's syntax, where they are not valid in ECMA-262.

Matching them can be made slow. Whoever checks a schema with a pattern does so in another process.
"""

import re
from typing import Any

import jsonschema_rs as rs

MASK = "\x00"  # stands for the instance in the library's messages
_PYTHON_PATTERN = "x-pattern-of-before"


class _PythonPattern:
    """A stored pattern that is valid in Python only, not in ECMA-262."""

    def __init__(self, _parent: dict[str, Any], value: Any, _path: list[str | int]) -> None:
        self._pattern = re.compile(value)

    def validate(self, instance: object) -> None:
        if isinstance(instance, str) and not self._pattern.search(instance):
            raise ValueError(f'{MASK} does not match "{self._pattern.pattern}"')


def with_python_patterns(node: Any) -> Any:
    """The schema with a keyword of KEYWORDS for each pattern that ECMA-262 does not have; without `$schema`."""
    match node:
        case dict():
            kept = {name: with_python_patterns(value) for name, value in node.items() if name != "$schema"}
            pattern = kept.get("pattern")
            if isinstance(pattern, str) and not _is_pattern(pattern):
                kept[_PYTHON_PATTERN] = kept.pop("pattern")
            return kept
        case list():
            return [with_python_patterns(value) for value in node]
    return node


def _is_pattern(pattern: str) -> bool:
    try:
        rs.Draft7Validator({"pattern": pattern}, offline=True)
    except rs.ValidationError:
        return False
    return True


KEYWORDS: dict[str, Any] = {_PYTHON_PATTERN: _PythonPattern}
