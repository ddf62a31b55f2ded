"""Generates an example from a JSON Schema: always the same one, never large. Pure.

It has the structure that the schema asks for. It does not satisfy patterns or unknown formats.
"""

from decimal import Decimal
from itertools import islice
from typing import Any

MAX_VALUES = 200
MAX_DEPTH = 8
MAX_TEXT_CHARACTERS = 100
MAX_ITEMS = 3

_ORDER = ("object", "array", "string", "integer", "number", "boolean", "null")
_FORMATS = {
    "date-time": "2026-03-01T09:30:00Z",
    "date": "2026-03-01",
    "time": "09:30:00Z",
    "duration": "P1D",
    "email": "somebody@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
_SAID = ("const", "default", "example")
_OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_OF_LISTS = ("items", "prefixItems", "minItems")
_OF_TEXTS = ("format", "minLength", "maxLength")
_WORDS = (*_SAID, *_OF_NUMBERS, *_OF_LISTS, *_OF_TEXTS, "examples", "enum", "type", "additionalProperties")


def made(schema: Any) -> Any:
    """A value with the structure that the schema asks for."""
    return _Maker(schema).value(schema, depth=0)


class _Maker:
    """Makes one example of a bounded number of values."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = MAX_VALUES

    def value(self, schema: Any, *, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH or not isinstance(schema, dict):
            return None
        whole = self._whole(schema)
        said = _said(whole)
        return said[0] if said else self._of_type(_type(whole), whole, depth)

    def _whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema merged with what it refers to and consists of."""
        whole: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        required: list[Any] = []
        waiting, seen = [schema], 0
        while waiting and seen < MAX_DEPTH:
            part, seen = waiting.pop(0), seen + 1
            whole = {word: part[word] for word in _WORDS if word in part} | whole
            properties = dict(islice(_object(part.get("properties")).items(), MAX_VALUES)) | properties
            required += _list(part.get("required"))[:MAX_VALUES]
            waiting += [other for other in self._others(part) if isinstance(other, dict)]
        return whole | {"properties": properties, "required": required}

    def _others(self, schema: dict[str, Any]) -> list[Any]:
        """The schemas that also apply: `$ref`, all of `allOf`, the first of `anyOf` and `oneOf`."""
        alternatives = [one for word in ("anyOf", "oneOf") for one in _list(schema.get(word))[:1]]
        return [self._referred(schema.get("$ref")), *_list(schema.get("allOf"))[:MAX_DEPTH], *alternatives]

    def _referred(self, reference: object) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self._root
        for name in reference.split("/")[1 : MAX_DEPTH + 1]:
            found = _object(found).get(name.replace("~1", "/").replace("~0", "~"))
        return found

    def _of_type(self, kind: str, schema: dict[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                return self._members(schema, depth)
            case "array":
                return self._items(schema, depth)
            case "string":
                return _text(schema)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
        return None

    def _members(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = _object(schema.get("properties"))
        missing = [name for name in _list(schema.get("required")) if isinstance(name, str) and name not in properties]
        described = properties | {name: {"type": "string"} for name in missing}
        members: dict[str, Any] = {}
        for name, part in described.items():
            if self._left <= 0:
                break
            members[name] = self.value(part, depth=depth + 1)
        return members

    def _items(self, schema: dict[str, Any], depth: int) -> list[Any]:
        items = schema.get("items")
        first = _list(schema.get("prefixItems")) or _list(items)
        if first:
            return [self.value(part, depth=depth + 1) for part in first[: max(self._left, 0)]]
        count = min(max(_whole_number(schema.get("minItems"), 1), 1), MAX_ITEMS)
        return [self.value(items if isinstance(items, dict) else {"type": "string"}, depth=depth + 1)] * count


def _said(schema: dict[str, Any]) -> list[Any]:
    """The values that the schema itself gives: examples, enum, const, default."""
    several = (_list(schema.get(word)) for word in ("examples", "enum"))
    return [*(one for ones in several for one in ones[:1]), *(schema[word] for word in _SAID if word in schema)]


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in _ORDER if one in kind), "null")
    if isinstance(kind, str):
        return kind
    if schema["properties"] or schema["required"] or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if any(word in schema for word in _OF_NUMBERS) else "string"


def _text(schema: dict[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "string")
    least = min(_whole_number(schema.get("minLength"), 0), MAX_TEXT_CHARACTERS)
    most = max(_whole_number(schema.get("maxLength"), MAX_TEXT_CHARACTERS), 0)
    return text.ljust(least, "x")[:most]


def _number(schema: dict[str, Any]) -> Any:
    """The minimum, or 0, or the maximum, adjusted to a multiple of `multipleOf`."""
    low, high, above, below, step = (_bound(schema.get(word)) for word in _OF_NUMBERS)
    if low is not None:
        return low if step is None else _multiple(low, step)
    if above is not None:
        return above + (step or 1)
    if high is not None and high < 0:
        return high
    return below - 1 if below is not None and below <= 0 else 0


def _multiple(low: Any, step: Any) -> Any:
    if step <= 0 or abs(low) > 10**15 or step < Decimal("1e-9"):
        return low
    steps = Decimal(low) // Decimal(step)
    above = steps if steps * step >= low else steps + 1
    return type(step)(above * Decimal(step))


def _bound(value: Any) -> Any:
    usable = isinstance(value, int | Decimal) and not isinstance(value, bool) and -(10**18) < value < 10**18
    return value if usable else None


def _whole_number(value: object, otherwise: int) -> int:
    bound = _bound(value)
    return otherwise if bound is None else int(bound)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
