"""Reads SQL statements from the file beside the module that runs them: `queue/intake.sql` for `queue/intake.py`.

Such a file has whole statements, each below a line with its name. Parameters are written like psql's variables
(`:name`) and numbered for asyncpg.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_NAMED = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
# Alternatives that are no parameters come first: quoted text, comments, casts.
_TOKEN = re.compile(r"'(?:[^']|'')*'|(?P<comment>--[^\n]*)|::|:(?P<parameter>[a-z_]+)")
_BLANK = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement for asyncpg. Called with its parameters by name, it returns the arguments of `fetch`."""

    text: str
    parameters: tuple[str, ...]

    def __call__(self, **values: object) -> tuple[object, ...]:
        """The text and the values in order. TypeError when a parameter is missing or unknown."""
        given = [values[name] for name in self.parameters if name in values]
        if not len(given) == len(values) == len(self.parameters):
            raise TypeError(f"the statement takes {self.parameters}, not {tuple(values)}")
        return self.text, *given

    def altered(self, part: str, instead: str) -> "Statement":
        """The same with another part, which has no parameters. ValueError unless the part is there once."""
        if self.text.count(part) != 1:
            raise ValueError(f"{part!r} is not there once")
        return Statement(self.text.replace(part, instead), self.parameters)


def beside(module: str) -> Mapping[str, Statement]:
    """The statements in the file beside that module, by name."""
    package, _, name = module.rpartition(".")
    return parsed(resources.files(package).joinpath(f"{name}.sql").read_text(encoding="utf-8"))


def parsed(file: str) -> dict[str, Statement]:
    """The statements of a file by name. Text above the first name is a comment."""
    _, *parts = _NAMED.split(file)
    return {name: compiled(sql) for name, sql in zip(parts[::2], parts[1::2], strict=True)}


def compiled(sql: str) -> Statement:
    """The statement with numbered parameters and without comments, since asyncpg caches only short statements."""
    numbers: dict[str, int] = {}

    def numbered(token: re.Match[str]) -> str:
        if token["comment"]:
            return ""
        name = token["parameter"]
        return f"${numbers.setdefault(name, len(numbers) + 1)}" if name else token[0]

    text = _BLANK.sub("\n", _TOKEN.sub(numbered, sql)).strip().removesuffix(";")
    return Statement(text, tuple(numbers))
