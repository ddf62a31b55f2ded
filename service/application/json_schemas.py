"""JSON Schema, Draft 7: whether a schema is one, and whether a payload keeps it. Nothing is ever fetched for it."""

from collections.abc import Iterator
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
# What a payload or a schema may hold so that checking takes a moment only: see `is_cheap`.
SMALL_PAYLOAD = 16 * 1024
SMALL_SCHEMA = 200

_COSTLY = frozenset({"pattern", "patternProperties", "$ref", "uniqueItems", "anyOf", "oneOf", "allOf"})


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
    for node in _nodes(schema):
        reference = node.get("$ref")
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
    if len(payload) > SMALL_PAYLOAD:
        return False
    nodes = list(islice(_nodes(schema), SMALL_SCHEMA + 1))
    return len(nodes) <= SMALL_SCHEMA and all(_COSTLY.isdisjoint(node) for node in nodes)


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


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    waiting = [schema]
    while waiting:
        match waiting.pop():
            case dict(node):
                yield node
                waiting.extend(node.values())
            case list(items):
                waiting.extend(items)
