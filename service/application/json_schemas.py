"""JSON Schema: whether a schema is one, and whether a payload keeps it. `$schema` says of which draft; without it, 7.

Nothing is ever fetched for a schema. All of it may be slow on purpose, and is done in a process of its own unless it
is known to take a moment: see `payload_checks`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from itertools import islice
from math import inf
from typing import Any

import jsonschema_rs as rs

from service.application import exact_json
from service.application.patterns import in_words_of_the_engine
from service.domain.errors import Invalid
from service.domain.limits import MAX_SCHEMAS_BYTES

MOST_FAULTS_TOLD = 3
# Bytes of a payload times bytes of a schema: above it the first fault alone is told, since all are found at once.
FEW_FAULTS = 200_000
LONGEST_MESSAGE = 300
LONGEST_VALUE = 60
# All schemas of an event type together, written as JSON.
QUICK_SCHEMAS = 8 * 1024
# A process keeps so many validators of schemas up to that size: a hundred patterns may take 10 MB.
KEPT, SMALL_SCHEMA = 16, 4096

# What makes the work more than a product of the sizes of both, or may: the rest is looked at once for each value.
_COSTLY = frozenset(
    {
        "pattern",
        "patternProperties",
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "uniqueItems",
        "anyOf",
        "oneOf",
        "allOf",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
Check = Callable[[bytes], list[str]]

# Keywords with values in them, which are no schemas.
_VALUES = ("const", "default", "enum", "examples")
_BY_PYTHON = "x-pattern-of-before"
_MASK = "\x00"
_BOUND = re.compile(r"(minimum|maximum) of ")


def written(schemas: Mapping[str, Any]) -> str:
    """The schemas by version as they are kept. ValueError for what cannot be, or would take long to look at."""
    try:
        text = exact_json.written(schemas)
    except ValueError:
        raise ValueError("This schema is nested too deep.") from None
    if len(text) > MAX_SCHEMAS_BYTES:
        raise ValueError(f"The schemas of an event type are at most {MAX_SCHEMAS_BYTES} bytes of JSON.")
    if rb"\u0000" in text and any("\x00" in part for part in _texts(schemas)):
        raise ValueError("NUL characters are not allowed.")
    return text.decode()


def refuse_unusable(schema: Any) -> None:
    """ValueError, saying why, for what is no schema, or refers to one elsewhere."""
    if not isinstance(schema, dict | bool):
        raise ValueError("A schema is an object.")  # noqa: TRY004 - reported as the value's fault
    try:
        _validator(schema)
    except rs.ValidationError as error:
        if _in_words_of_the_engine(schema) is None:
            raise ValueError(_unusable(error)) from None
    except ValueError as error:
        raise ValueError("This schema is nested too deep.") from error


def is_quick(schemas: str) -> bool:
    """Whether to look for what is wrong with them is a matter of a moment."""
    return len(schemas) <= QUICK_SCHEMAS and "pattern" not in schemas


def unusable(schemas: list[str]) -> list[str | None]:
    """What is wrong with each of these schemas by version, None where nothing is."""
    return [_first_fault(versions) for versions in schemas]


def _first_fault(versions: str) -> str | None:
    for version, schema in exact_json.members(versions).items():
        try:
            refuse_unusable(exact_json.read(schema))
        except ValueError as error:
            return f"Version {version}: {error}"
    return None


def faults(schema: bytes, payload: bytes) -> list[str]:
    """What is wrong with the payload, path and reason, a few faults at most; nothing when it keeps the schema."""
    check = _kept(schema) if len(schema) <= SMALL_SCHEMA else checking(schema)
    return check(payload)


def checking(schema: bytes) -> Check:
    """What tells the faults of payloads by this schema."""
    try:
        return partial(_faults, _compiled(schema), FEW_FAULTS // max(len(schema), 1))
    except rs.ValidationError as error:
        fault = f"the schema cannot be used any more, replace it. {_unusable(error)}"
        return lambda _: [fault]


_kept = lru_cache(KEPT)(checking)


def _faults(validator: rs.Validator, small: int, payload: bytes) -> list[str]:
    try:
        document = exact_json.read(payload)
    except ValueError as error:
        return [f"it is not JSON that can be checked: {error}"]
    try:
        if len(payload) <= small:
            return [_told(error) for error in islice(validator.iter_errors(document), MOST_FAULTS_TOLD)]
        validator.validate(document)
    except rs.ValidationError as error:
        return [_told(error)]
    except ValueError as error:
        return [f"{'it is nested too deep' if _is_of_depth(error) else 'a number has too many digits'} to be checked"]
    return []


def _is_of_depth(error: ValueError) -> bool:
    # The engine gives it no type of its own.
    return "Recursion limit" in str(error)


def _compiled(schema: bytes) -> rs.Validator:
    """The validator of a schema that is kept already: perhaps since patterns were Python's and every draft was 7."""
    kept = exact_json.read(schema)
    try:
        return _validator(kept)
    except rs.ValidationError:
        return _in_words_of_the_engine(kept) or _validator(_as_before(kept))


def _validator(schema: Any) -> rs.Validator:
    make = rs.validator_for if isinstance(schema, dict) and "$schema" in schema else rs.Draft7Validator
    keywords: Any = {_BY_PYTHON: _PatternOfBefore}
    return make(schema, offline=True, validate_formats=False, mask=_MASK, keywords=keywords)


def _in_words_of_the_engine(schema: Any) -> rs.Validator | None:
    """None where that makes no difference, so that what is slow to refuse is looked at once."""
    try:
        said = _with_patterns_said(schema)
        return None if said == schema else _validator(said)
    except (ValueError, RecursionError):
        return None


def _with_patterns_said(node: Any) -> Any:
    match node:
        case dict():
            said = {name: _with_patterns_said(value) for name, value in node.items()}
            pattern, by_pattern = said.get("pattern"), said.get("patternProperties")
            if isinstance(pattern, str):
                said["pattern"] = in_words_of_the_engine(pattern)
            if isinstance(by_pattern, dict):
                said["patternProperties"] = {in_words_of_the_engine(name): by_pattern[name] for name in by_pattern}
            return said | {name: node[name] for name in _VALUES if name in node}
        case list():
            return [_with_patterns_said(value) for value in node]
    return node


class _PatternOfBefore:
    """A pattern that is no pattern of ECMA-262 but one of Python."""

    def __init__(self, _parent: dict[str, Any], value: Any, _path: list[str | int]) -> None:
        self._pattern = re.compile(value)

    def validate(self, instance: object) -> None:
        if isinstance(instance, str) and not self._pattern.search(instance):
            raise ValueError(f'{_MASK} does not match "{self._pattern.pattern}"')


def _as_before(node: Any) -> Any:
    match node:
        case dict():
            kept = {name: _as_before(value) for name, value in node.items() if name != "$schema"}
            pattern = kept.get("pattern")
            if isinstance(pattern, str) and not _is_pattern(pattern):
                kept[_BY_PYTHON] = kept.pop("pattern")
            return kept
        case list():
            return [_as_before(value) for value in node]
    return node


def _is_pattern(pattern: str) -> bool:
    try:
        rs.Draft7Validator({"pattern": pattern}, offline=True)
    except rs.ValidationError:
        return False
    return True


def weight(schema: bytes | None) -> float:
    """How many values there are to look at in a schema; endlessly many where any of it can be made slow on purpose."""
    values = list(_values(None if schema is None else exact_json.read(schema)))
    costly = any(not _COSTLY.isdisjoint(value) for value in values if isinstance(value, dict))
    return inf if costly else len(values)


def newest(schemas: str | None) -> bytes | None:
    """Of schemas by version the latest one, by number if the versions are numbers; None when there is none."""
    versions = exact_json.members(schemas or "{}")
    if not versions:
        return None
    return versions[max(versions, key=lambda version: (int(version) if version.isdecimal() else -1, version))]


def refused(faults: list[str]) -> Invalid:
    """The error for a payload with these faults."""
    return Invalid(f"The payload breaks the event type's schema: {'; '.join(faults)}", field=("payload",))


def _unusable(error: rs.ValidationError) -> str:
    if "not present in a registry" in error.message:
        return "A schema may refer to its own parts only, as in `#/definitions/...`."
    at = "/".join(map(str, error.instance_path))
    return f"This is not a JSON Schema: {f'{at}: ' if at else ''}{_expected(error, shown=_written(error.instance))}"


def _told(error: rs.ValidationError) -> str:
    # A text or more may be long, and is nobody's business but the sender's.
    simple = error.instance is None or isinstance(error.instance, bool | int | float | Decimal)
    shown = _written(error.instance) if simple else "the value"
    return f"{'/'.join(map(str, error.instance_path)) or 'payload'}: {_expected(error, shown=shown)}"


def _expected(error: rs.ValidationError, *, shown: str) -> str:
    return _BOUND.sub(r"\1 ", error.message.replace(_MASK, shown))[:LONGEST_MESSAGE]


def _written(value: Any) -> str:
    text = exact_json.written(value).decode()
    return text if len(text) <= LONGEST_VALUE else "the value"


def _texts(schema: Any) -> Iterator[str]:
    for value in _values(schema):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value


def _values(schema: Any) -> Iterator[Any]:
    """The schema and all that is in it, however deep. A list of a thousand numbers is a thousand values."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        yield value
        match value:
            case dict():
                waiting.extend(value.values())
            case list():
                waiting.extend(value)
