"""A JSON Schema as the rows of a table: what a payload may contain. Pure, and bounded in rows, depth and text.

Every legal schema is accepted. What a table does not say, the schema's own text says beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from service.application import exact_json

MAX_ROWS = 200
MAX_DEPTH = 10
MAX_PARTS = 2_000  # schemas that are looked at for one table
MAX_MEMBERS = 300  # of a list or an object within a schema
MAX_NAME_CHARACTERS, MAX_TYPE_CHARACTERS, MAX_DESCRIPTION_CHARACTERS = 80, 200, 500
_SHOWN_VALUES = 6
_SHOWN_FORMS = 4
_STRUCTURE = frozenset({"properties", "patternProperties", "additionalProperties", "required", "items", "prefixItems"})

Schemas = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaRow:
    """A member of the payload. `name` leads to it from the top, as in `lines[].price`."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaTable:
    """Rows in the schema's order, each object before its members; not `complete` when some were left out."""

    rows: tuple[SchemaRow, ...]
    complete: bool


def table_of(schema: Any) -> SchemaTable | None:
    """The table of a schema; None when it names no member of an object."""
    outline = _Outline(schema)
    rows = tuple(islice(outline.members(schema, path="", depth=0, above=frozenset()), MAX_ROWS + 1))
    if not rows:
        return None
    return SchemaTable(rows=rows[:MAX_ROWS], complete=outline.complete and len(rows) <= MAX_ROWS)


class _Outline:
    """Walks a schema from the top. Of what refers to itself, the inner one is named and not walked again."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = MAX_PARTS
        self.complete = True

    def members(self, schema: Any, *, path: str, depth: int, above: frozenset[int]) -> Iterator[SchemaRow]:
        """The rows of what is below a schema. `above` are the schemas on the way here."""
        parts = self._parts(schema)
        if not above.isdisjoint(map(id, parts)):
            return
        if depth > MAX_DEPTH:
            self.complete = self.complete and all(_STRUCTURE.isdisjoint(part) for part in parts)
            return
        inside = above.union(map(id, parts))
        required = {name for part in parts for name in _strings(part.get("required"))}
        forms = [form for part in parts for form in self._forms(part)]
        seen: set[str] = set()
        for part in parts:
            for name, member in _members(part):
                if name not in seen:
                    seen.add(name)
                    at = _joined(path, name)
                    yield self._row(member, at, required=name in required)
                    yield from self.members(member, path=at, depth=depth + 1, above=inside)
            yield from self._items(part, path, depth=depth, above=inside)
        for name in sorted(required - seen):
            yield SchemaRow(name=_joined(path, name), type="any", required=True, description="")
        for form in forms:
            for row in self.members(form, path=path, depth=depth + 1, above=inside):
                yield SchemaRow(name=row.name, type=row.type, required=False, description=row.description)

    def _items(self, part: dict[str, Any], path: str, *, depth: int, above: frozenset[int]) -> Iterator[SchemaRow]:
        """The rows below the items of a list."""
        if not path:
            return  # a payload is an object
        items = part.get("items")
        in_turn = _list(part.get("prefixItems")) or _list(items)
        for number, item in enumerate(islice(in_turn, MAX_MEMBERS)):
            at = f"{path}[{number}]"
            yield self._row(item, at, required=False)
            yield from self.members(item, path=at, depth=depth + 1, above=above)
        if isinstance(items, dict):
            yield from self.members(items, path=f"{path}[]", depth=depth + 1, above=above)

    def _row(self, schema: Any, path: str, *, required: bool) -> SchemaRow:
        parts = self._parts(schema)
        said = (part[word] for part in parts for word in ("description", "title") if isinstance(part.get(word), str))
        return SchemaRow(
            name=path,
            type=_cut(self._type(schema, parts, depth=0), MAX_TYPE_CHARACTERS),
            required=required,
            description=_cut(next(said, ""), MAX_DESCRIPTION_CHARACTERS),
        )

    def _type(self, schema: Any, parts: Schemas, *, depth: int) -> str:
        """The type in words: the named one, or what the other keywords tell of it."""
        if isinstance(schema, bool):
            return "any" if schema else "none"
        if depth > MAX_DEPTH:
            return "any"
        return _values(parts) or self._named(parts, depth) or self._formed(parts, depth) or _implied(parts)

    def _named(self, parts: Schemas, depth: int) -> str:
        named = next((part["type"] for part in parts if isinstance(part.get("type"), str | list)), None)
        kinds = [
            kind for kind in islice([named] if isinstance(named, str) else named or (), 7) if isinstance(kind, str)
        ]
        formats = [part["format"] for part in parts if isinstance(part.get("format"), str)]
        words = [self._list_of(parts, depth) if kind == "array" else kind for kind in kinds]
        return " or ".join(words) + (f" ({formats[0][:40]})" if formats and words else "")

    def _list_of(self, parts: Schemas, depth: int) -> str:
        items = next((part["items"] for part in parts if isinstance(part.get("items"), dict)), None)
        return "array" if items is None else f"array of {self._type(items, self._parts(items), depth=depth + 1)}"

    def _formed(self, parts: Schemas, depth: int) -> str:
        forms = [form for part in parts for form in self._forms(part)][:_SHOWN_FORMS]
        return " or ".join(dict.fromkeys(self._type(form, self._parts(form), depth=depth + 1) for form in forms))

    def _parts(self, schema: Any) -> Schemas:
        """The schemas that all hold for a value: itself, what it refers to, and all of `allOf`."""
        parts: Schemas = []
        waiting = [schema]
        while waiting:
            part = waiting.pop(0)
            if not isinstance(part, dict) or any(part is known for known in parts):
                continue
            if self._left <= 0 or len(parts) >= MAX_DEPTH:
                self.complete = False
                break
            self._left -= 1
            parts.append(part)
            waiting += [self._referred(part.get("$ref")), *islice(_list(part.get("allOf")), MAX_DEPTH)]
        return parts

    def _forms(self, part: dict[str, Any]) -> Iterator[Any]:
        """The schemas of which one or several hold."""
        for word in ("oneOf", "anyOf"):
            yield from islice(_list(part.get(word)), MAX_DEPTH)
        for word in ("then", "else"):
            if isinstance(part.get(word), dict):
                yield part[word]

    def _referred(self, reference: object) -> Any:
        """What a reference within the schema leads to; None for any other."""
        if not isinstance(reference, str) or len(reference) > MAX_MEMBERS or not f"{reference}/".startswith("#/"):
            return None
        found = self._root
        for name in reference.split("/")[1:]:
            found = _object(found).get(name.replace("~1", "/").replace("~0", "~"))
        return found


def _members(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members that a schema describes: by their names, by patterns of names, and any other."""
    yield from _object(part.get("properties")).items()
    for pattern, member in _object(part.get("patternProperties")).items():
        yield f"/{pattern}/", member
    if isinstance(part.get("additionalProperties"), dict):
        yield "*", part["additionalProperties"]


def _values(parts: Schemas) -> str:
    """The values themselves, where the schema lists them."""
    for part in parts:
        if "const" in part:
            return f"always {_written(part['const'])}"
        values = _list(part.get("enum"))
        if values:
            more = ", ..." if len(values) > _SHOWN_VALUES else ""
            return f"one of {', '.join(map(_written, values[:_SHOWN_VALUES]))}{more}"
    return ""


def _implied(parts: Schemas) -> str:
    if any(word in part for part in parts for word in ("properties", "required", "additionalProperties")):
        return "object"
    return "array" if any(word in part for part in parts for word in ("items", "prefixItems")) else "any"


def _written(value: Any) -> str:
    """A value as JSON; of a large one not even the beginning is made."""
    if isinstance(value, dict | list):
        return "{...}" if isinstance(value, dict) else "[...]"
    if isinstance(value, str):
        value = _cut(value, MAX_NAME_CHARACTERS)
    return _cut(exact_json.written(value).decode(), MAX_NAME_CHARACTERS)


def _joined(path: str, name: str) -> str:
    name = _cut(name, MAX_NAME_CHARACTERS)
    return f"{path}.{name}" if path else name


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _strings(value: Any) -> Iterator[str]:
    return (one for one in islice(_list(value), MAX_MEMBERS) if isinstance(one, str))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
