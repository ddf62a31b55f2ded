"""JSON Schema, Draft 7: whether a schema is one, and whether a payload keeps it. Nothing is ever fetched for it."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import orjson
from jsonschema import Draft7Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from service.domain.errors import Invalid

MOST_FAULTS_TOLD = 3
LONGEST_MESSAGE = 300
# All schemas of an event type together, written as JSON: to look at them takes a second and a half a megabyte.
LARGEST_SCHEMAS = 128 * 1024
# Bytes of a payload times values of a schema: as many comparisons take some 50 ms at the very worst.
A_MOMENT = 400_000

_COSTLY = frozenset({"pattern", "patternProperties", "$ref", "uniqueItems", "anyOf", "oneOf", "allOf"})


def refuse_large(schemas: Mapping[str, Any]) -> None:
    """ValueError for schemas that would take long to look at, and longer to check every payload by."""
    try:
        size = len(orjson.dumps(schemas))
    except orjson.JSONEncodeError:
        raise ValueError("This schema is nested too deep.") from None
    if size > LARGEST_SCHEMAS:
        raise ValueError(f"The schemas of an event type are at most {LARGEST_SCHEMAS} bytes of JSON.")


def refuse_unusable(schema: Any) -> None:
    """ValueError, saying why, for what is no schema, or refers to one elsewhere."""
    if not isinstance(schema, dict | bool):
        raise ValueError("A schema is an object.")  # noqa: TRY004 - pydantic reports a ValueError as the value's fault
    try:
        Draft7Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"This is not a JSON Schema (Draft 7): {error.message[:LONGEST_MESSAGE]}") from None
    except RecursionError:
        raise ValueError("This schema is nested too deep.") from None
    for value in _values(schema):
        reference = value.get("$ref") if isinstance(value, dict) else None
        if isinstance(reference, str) and not reference.startswith("#"):
            raise ValueError("A schema may refer to its own parts only, as in `#/definitions/...`.")


def faults(schema: Any, payload: bytes) -> list[str]:
    """What is wrong with the payload, path and reason, a few faults at most; nothing when it keeps the schema."""
    try:
        document = orjson.loads(payload)
        validator = Draft7Validator(schema, registry=Registry())
        found = [_told(error) for error in islice(validator.iter_errors(document), MOST_FAULTS_TOLD)]
    except orjson.JSONDecodeError:
        return ["it is not JSON"]
    except RecursionError:
        return ["the schema refers to itself without end"]
    except Unresolvable:
        return ["the schema refers to a part that it does not have"]
    return found


def is_cheap(schema: Any, payload: bytes) -> bool:
    """Whether checking is a matter of a moment: little to look at, and nothing that can be made slow on purpose."""
    most = A_MOMENT // max(len(payload), 1)
    values = list(islice(_values(schema), most + 1))
    return len(values) <= most and all(_COSTLY.isdisjoint(value) for value in values if isinstance(value, dict))


def newest(schemas: dict[str, Any] | None) -> Any:
    """Of schemas by version the latest one, by number if the versions are numbers; None when there is none."""
    if not schemas:
        return None
    return schemas[max(schemas, key=lambda version: (int(version) if version.isdecimal() else -1, version))]


def refused(faults: list[str]) -> Invalid:
    """The error for a payload with these faults."""
    return Invalid(f"The payload breaks the event type's schema: {'; '.join(faults)}", loc=("body", "payload"))


def _told(error: Any) -> str:
    path = "/".join(map(str, error.absolute_path)) or "payload"
    return f"{path}: breaks `{error.validator}`"


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
