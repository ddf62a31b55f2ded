"""Statements that are kept as SQL, beside the module that runs them: `queue/intake.sql` beside `queue/intake.py`.

Such a file holds whole statements, each below a line that names it. Parameters have names there, as psql's variables
have; asyncpg is given numbers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_NAMED = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
# What is no parameter comes first: text in quotes, comments, casts.
_TOKEN = re.compile(r"'(?:[^']|'')*'|(?P<comment>--[^\n]*)|::|:(?P<parameter>[a-z_]+)")
_BLANK = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as asyncpg takes it. Called with its parameters by name it gives what `fetch` is called with."""

    text: str
    parameters: tuple[str, ...]

    def __call__(self, **values: object) -> tuple[object, ...]:
        """The text, and the values in their order. TypeError when one is missing or unknown."""
        given = [values[name] for name in self.parameters if name in values]
        if not len(given) == len(values) == len(self.parameters):
            raise TypeError(f"the statement takes {self.parameters}, not {tuple(values)}")
        return self.text, *given


def beside(module: str) -> Mapping[str, Statement]:
    """The statements in the file beside the module of that name, by their own."""
    package, _, name = module.rpartition(".")
    return parsed(resources.files(package).joinpath(f"{name}.sql").read_text(encoding="utf-8"))


def parsed(file: str) -> dict[str, Statement]:
    """The statements that a file holds. What is above the first name is for who reads it."""
    _, *parts = _NAMED.split(file)
    return {name: compiled(sql) for name, sql in zip(parts[::2], parts[1::2], strict=True)}


def compiled(sql: str) -> Statement:
    """The statement with a number for each parameter, and without its comments: asyncpg prepares what is short."""
    numbers: dict[str, int] = {}

    def numbered(token: re.Match[str]) -> str:
        if token["comment"]:
            return ""
        name = token["parameter"]
        return f"${numbers.setdefault(name, len(numbers) + 1)}" if name else token[0]

    text = _BLANK.sub("\n", _TOKEN.sub(numbered, sql)).strip().removesuffix(";")
    return Statement(text, tuple(numbers))
