"""JSON Schema: whether a schema is valid, and whether a payload is valid under it. The draft is `$schema`'s, else 7.

Nothing is ever fetched for a schema. A caller can make any of this slow on purpose, so it runs in another process
unless it is known to be quick: see `payload_checks`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from itertools import islice
from math import inf
from typing import Any

import jsonschema_rs as rs

from service.application import exact_json
from service.application.former_patterns import KEYWORDS, MASK, with_python_patterns
from service.application.patterns import translated
from service.domain.errors import Invalid
from service.domain.limits import MAX_SCHEMAS_BYTES

# Levels of all schemas of an event type: as many as the library reads, far below what the parsers take.
MAX_DEPTH = 256
MAX_REPORTED_FAULTS = 3
# Bytes of payload times bytes of schema: above it only the first fault is reported, since collecting all takes longer.
MAX_FAULT_WORK = 200_000
MAX_MESSAGE_CHARACTERS = 300
MAX_VALUE_CHARACTERS = 60
# Size of all schemas of an event type, as JSON, up to which they are checked on the event loop.
QUICK_SCHEMAS_BYTES = 8 * 1024
# Validators cached by a process, and the largest schema of which: a hundred patterns may take 10 MB.
CACHED_VALIDATORS, MAX_CACHED_SCHEMA_BYTES = 16, 4096

# Keywords that can take more time than the product of both sizes. All others examine each value once.
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

# Keywords whose values are data, not schemas.
_VALUES = ("const", "default", "enum", "examples")
_BOUND = re.compile(r"(minimum|maximum) of ")


def written(schemas: Mapping[str, Any]) -> str:
    """The schemas by version, as JSON to store. ValueError when too deep or too large, or with NUL characters."""
    if _is_deeper(schemas, MAX_DEPTH):
        raise ValueError("This schema is nested too deep.")
    text = exact_json.written(schemas)
    if len(text) > MAX_SCHEMAS_BYTES:
        raise ValueError(f"The schemas of an event type are at most {MAX_SCHEMAS_BYTES} bytes of JSON.")
    if rb"\u0000" in text and any("\x00" in part for part in _texts(schemas)):
        raise ValueError("NUL characters are not allowed.")
    return text.decode()


def refuse_unusable(schema: Any) -> None:
    """ValueError, with the reason, for an invalid schema or one that refers to another document."""
    if not isinstance(schema, dict | bool):
        raise ValueError("A schema is an object.")  # noqa: TRY004 - reported as the value's fault
    try:
        _validator(schema)
    except rs.ValidationError as error:
        if _with_translated_patterns(schema) is None:
            raise ValueError(_unusable(error)) from None
    except ValueError as error:
        raise ValueError("This schema is nested too deep.") from error


def is_quick(schemas: str) -> bool:
    """Whether checking these schemas is quick enough for the event loop."""
    return len(schemas) <= QUICK_SCHEMAS_BYTES and "pattern" not in schemas


def unusable(schemas: list[str]) -> list[str | None]:
    """The first fault of each of these schemas by version, None where there is none."""
    return [_first_fault(versions) for versions in schemas]


def _first_fault(versions: str) -> str | None:
    for version, schema in exact_json.members(versions).items():
        try:
            refuse_unusable(exact_json.read(schema))
        except ValueError as error:
            return f"Version {version}: {error}"
    return None


def faults(schema: bytes, payload: bytes) -> list[str]:
    """Up to three faults of the payload, each with path and reason; empty when it is valid."""
    check = _kept(schema) if len(schema) <= MAX_CACHED_SCHEMA_BYTES else checking(schema)
    return check(payload)


def checking(schema: bytes) -> Check:
    """A function that returns the faults of a payload under this schema."""
    try:
        return partial(_faults, _compiled(schema), MAX_FAULT_WORK // max(len(schema), 1))
    except rs.ValidationError as error:
        why = _unusable(error)
    except ValueError as error:
        why = f"In it {error}."
    return lambda _: [f"the schema cannot be used any more, replace it. {why}"]


_kept = lru_cache(CACHED_VALIDATORS)(checking)


def _faults(validator: rs.Validator, small: int, payload: bytes) -> list[str]:
    try:
        document = exact_json.read(payload)
    except ValueError as error:
        return [f"it is not JSON that can be checked: {error}"]
    try:
        if len(payload) <= small:
            return [_told(error) for error in islice(validator.iter_errors(document), MAX_REPORTED_FAULTS)]
        validator.validate(document)
    except rs.ValidationError as error:
        return [_told(error)]
    except ValueError as error:
        return [f"{'it is nested too deep' if _is_of_depth(error) else 'a number has too many digits'} to be checked"]
    return []


def _is_of_depth(error: ValueError) -> bool:
    # The library has no exception type for it.
    return "Recursion limit" in str(error)


def _compiled(schema: bytes) -> rs.Validator:
    """The validator of a stored schema. It may be from an earlier release, with Python's patterns and any draft read as
    7."""
    kept = exact_json.read(schema)
    # Translated first: what the library takes may mean something else to it, such as `\<` the beginning of a word.
    if (validator := _with_translated_patterns(kept)) is not None:
        return validator
    try:
        return _validator(kept)
    except rs.ValidationError:
        # Only here, since Python's patterns can be made slow: a schema with a pattern is never checked on the loop.
        return _validator(with_python_patterns(kept), **KEYWORDS)


def _validator(schema: Any, **keywords: Any) -> rs.Validator:
    make = rs.validator_for if isinstance(schema, dict) and "$schema" in schema else rs.Draft7Validator
    return make(schema, offline=True, validate_formats=False, mask=MASK, keywords=keywords)


def _with_translated_patterns(schema: Any) -> rs.Validator | None:
    """The validator of the schema with its patterns translated; None when that changes nothing or it stays invalid."""
    try:
        said = _translated(schema)
        return None if said == schema else _validator(said)
    except (ValueError, RecursionError):  # a schema that is not valid is a ValueError as well
        return None


def _translated(node: Any) -> Any:
    match node:
        case dict():
            said = {name: _translated(value) for name, value in node.items()}
            pattern, by_pattern = said.get("pattern"), said.get("patternProperties")
            if isinstance(pattern, str):
                said["pattern"] = translated(pattern)
            if isinstance(by_pattern, dict):
                said["patternProperties"] = {translated(name): by_pattern[name] for name in by_pattern}
            return said | {name: node[name] for name in _VALUES if name in node}
        case list():
            return [_translated(value) for value in node]
    return node


def weight(schema: bytes | None) -> float:
    """The number of values in a schema; infinite if a keyword in it can be made slow on purpose, or an earlier release
    took an integer in it that this process does not read."""
    try:
        values = list(_values(None if schema is None else exact_json.read(schema)))
    except ValueError:
        return inf
    costly = any(not _COSTLY.isdisjoint(value) for value in values if isinstance(value, dict))
    return inf if costly else len(values)


def newest(schemas: str | None) -> bytes | None:
    """The latest of schemas by version, numerically if versions are numbers; None when there is none."""
    versions = exact_json.members(schemas or "{}")
    if not versions:
        return None
    return versions[max(versions, key=_rank)]


def _rank(version: str) -> tuple[int, str, str]:
    """Numbers in their order, however many digits they have, after all other names."""
    digits = version.lstrip("0") if version.isdecimal() else ""
    return len(digits) if version.isdecimal() else -1, digits, version


def refused(faults: list[str]) -> Invalid:
    """The error for a payload with these faults."""
    return Invalid(f"The payload breaks the event type's schema: {'; '.join(faults)}", field=("payload",))


def _unusable(error: rs.ValidationError) -> str:
    if "not present in a registry" in error.message:
        return "A schema may refer to its own parts only, as in `#/definitions/...`."
    if error.message.startswith("Unknown meta-schema"):
        return "`$schema` has to be a draft of json-schema.org: 4, 6, 7, 2019-09 or 2020-12. Without one it is draft 7."
    at = "/".join(map(str, error.instance_path))
    return f"This is not a JSON Schema: {f'{at}: ' if at else ''}{_expected(error, shown=_written(error.instance))}"


def _told(error: rs.ValidationError) -> str:
    # Texts, lists and objects are not repeated: they may be long or confidential.
    simple = error.instance is None or isinstance(error.instance, bool | int | float | Decimal)
    shown = _written(error.instance) if simple else "the value"
    return f"{'/'.join(map(str, error.instance_path)) or 'payload'}: {_expected(error, shown=shown)}"


def _expected(error: rs.ValidationError, *, shown: str) -> str:
    return _BOUND.sub(r"\1 ", error.message.replace(MASK, shown))[:MAX_MESSAGE_CHARACTERS]


def _written(value: Any) -> str:
    text = exact_json.written(value).decode()
    return text if len(text) <= MAX_VALUE_CHARACTERS else "the value"


def _texts(schema: Any) -> Iterator[str]:
    for value in _values(schema):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value


def _is_deeper(value: Any, most: int) -> bool:
    """Whether it has more than so many levels."""
    level = [value]
    for _ in range(most):
        level = [part for whole in level for part in _parts(whole)]
    return bool(level)


def _values(schema: Any) -> Iterator[Any]:
    """The schema and every value in it. A list of a thousand numbers is a thousand values."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        yield value
        waiting.extend(_parts(value))


def _parts(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
    return ()
