"""Schemas and payloads made to keep a process busy: what is slow leaves the loop, and ends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from service.application import json_schemas
from service.application.payload_checks import PayloadChecks
from service.application.ports.engine import PayloadRule
from service.domain.errors import Invalid
from service.domain.ids import OrgId
from service.observability.processes import Processes
from tests.support.factories import new_message

DOUBLING = {
    "definitions": {str(n): {"allOf": [{"$ref": f"#/definitions/{n + 1}"}] * 2} for n in range(60)} | {"60": {}},
    "$ref": "#/definitions/0",
}
BOMBS: dict[str, tuple[Any, Any]] = {
    "a pattern that goes back and forth": ({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 40 + "!"}),
    "a name that goes back and forth": ({"patternProperties": {"^(a|a)*$": True}}, {"a" * 40 + "!": 1}),
    "references that double": (DOUBLING, {}),
    "a long list of all that is allowed": (
        {"properties": {"a": {"items": {"enum": list(range(20_000))}}}},
        {"a": [19_999] * 3_000},
    ),
}
ENDLESS: dict[str, Any] = {
    "a schema that is itself": {"$ref": "#"},
    "two that are each other": {
        "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}},
        "$ref": "#/definitions/a",
    },
}


class Rule:
    """Rules for payloads with one schema for all of them."""

    def __init__(self, schema: Any) -> None:
        self._rule = PayloadRule(schema=schema, version=datetime.now(UTC))

    async def rule(self, _org_id: OrgId, _event_type: str) -> PayloadRule:
        return self._rule


@contextmanager
def processes(seconds: float) -> Iterator[Processes]:
    opened = Processes(workers=1, seconds=seconds)
    yield opened
    opened.close()


@pytest.mark.parametrize("case", BOMBS)
async def test_a_check_made_to_take_long_leaves_the_loop_and_is_ended(case: str) -> None:
    schema, payload = BOMBS[case]
    message = new_message("u", payload=orjson.dumps(payload))

    assert not json_schemas.is_cheap(schema, message.payload)
    with processes(seconds=0.3) as pool, pytest.raises(Invalid, match="too long"):
        await PayloadChecks(Rule(schema), pool).checked_afresh(message)


@pytest.mark.parametrize("case", ENDLESS)
def test_a_schema_without_end_is_told_as_a_fault(case: str) -> None:
    assert json_schemas.faults(ENDLESS[case], b"{}") == ["the schema refers to itself without end"]


@pytest.mark.parametrize(
    "wide",
    [
        lambda size: {"enum": list(range(size))},
        lambda size: {"properties": {str(n): {"type": "string"} for n in range(size)}},
        lambda size: {"required": [str(n) for n in range(size)]},
        lambda size: {"not": {"not": {"items": {"const": list(range(size))}}}},
    ],
)
def test_what_is_checked_on_the_loop_is_a_matter_of_a_moment(wide: Callable[[int], Any]) -> None:
    payload = orjson.dumps([{}] * 500)
    largest = next(size for size in range(400, 0, -1) if json_schemas.is_cheap({"items": wide(size)}, payload))

    began = time.thread_time()
    json_schemas.faults({"items": wide(largest)}, payload)

    assert time.thread_time() - began < 1  # of the processor, not of the clock; it is a twentieth of that
    assert not json_schemas.is_cheap({"items": wide(largest * 10)}, payload)


def test_schemas_that_take_long_to_look_at_are_refused_before_anybody_does() -> None:
    wide = {"properties": {f"p{n}": {"pattern": "^[a-z]{1,30}$"} for n in range(100_000)}}

    with pytest.raises(ValueError, match="at most"):
        json_schemas.refuse_large({"1": wide})


def test_a_schema_is_refused_for_its_depth() -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"not": deep}

    with pytest.raises(ValueError, match="too deep"):
        json_schemas.refuse_large({"1": deep})
