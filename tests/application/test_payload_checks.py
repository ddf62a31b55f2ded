"""Schemas and payloads made to keep a process busy: what is slow leaves the loop, and ends."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from service.application import json_schemas
from service.application.payload_checks import PayloadChecks, is_cheap_to_check
from service.application.ports.intake import PayloadRule
from service.domain.errors import Invalid
from service.domain.ids import OrgId
from service.offloading.processes import Processes
from tests.support.factories import new_message

DOUBLING = {
    "definitions": {str(n): {"allOf": [{"$ref": f"#/definitions/{n + 1}"}] * 2} for n in range(60)} | {"60": {}},
    "$ref": "#/definitions/0",
}
BOMBS: dict[str, tuple[Any, Any]] = {
    "references that double": (DOUBLING, {}),
    "a pattern that goes back and forth": ({"items": {"not": {"pattern": "^(a+)+\\1$"}}}, {"a": "a" * 40 + "!"}),
    "a name that goes back and forth": ({"patternProperties": {"^(a|a)*$": True}}, {"a" * 40 + "!": 1}),
    "a list of many that are all compared": ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 2]}),
    "a long list of all that is allowed": (
        {"properties": {"a": {"items": {"enum": list(range(20_000))}}}},
        {"a": [19_999] * 3_000},
    ),
    "what is unevaluated": ({"unevaluatedProperties": False}, {"a": 1}),
    "a payload that takes long to read": ({}, {"a": [[]] * 30_000}),
}
ENDLESS: dict[str, Any] = {
    "a schema that is itself": {"$ref": "#"},
    "two that are each other": {
        "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}},
        "$ref": "#/definitions/a",
    },
    "one that is not itself": {"definitions": {"a": {"not": {"$ref": "#/definitions/a"}}}, "$ref": "#/definitions/a"},
    "one that is all of itself": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "one that is in itself": {"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}},
}


class Rule:
    """Rules for payloads with one schema for all of them."""

    def __init__(self, schema: Any) -> None:
        self._rule = PayloadRule(schema=orjson.dumps(schema), version=datetime.now(UTC))

    async def rule(self, _org_id: OrgId, _event_type: str) -> PayloadRule:
        return self._rule


@pytest.mark.parametrize("case", BOMBS)
def test_a_check_that_could_take_long_is_never_made_on_the_loop(case: str) -> None:
    schema, payload = BOMBS[case]

    assert not is_cheap_to_check(json_schemas.weight(orjson.dumps(schema)), orjson.dumps(payload))


async def test_a_check_made_to_take_long_is_ended() -> None:
    message = new_message("u", payload=b"{}")

    with pytest.raises(Invalid, match="too long"):
        await PayloadChecks(Rule(DOUBLING), Processes(workers=1, seconds=0.3)).checked_afresh(message)


async def test_one_tenants_slow_checks_do_not_keep_another_waiting() -> None:
    slow, quick = new_message("u", payload=b"{}"), new_message("u", payload=b"{}", org_id=OrgId("org_other"))

    processes = Processes(workers=2, seconds=60)

    flood = [asyncio.create_task(PayloadChecks(Rule(DOUBLING), processes).checked_afresh(slow)) for _ in range(50)]
    await asyncio.sleep(0)
    checked = await PayloadChecks(Rule({"pattern": "a"}), processes).checked_afresh(quick)
    ended = [task.cancel() for task in flood]
    await asyncio.gather(*flood, return_exceptions=True)

    assert checked.checked_against is not None
    assert all(ended), "every slow check was still waiting or at work"


@pytest.mark.parametrize("case", ENDLESS)
def test_a_schema_that_refers_to_itself_ends(case: str) -> None:
    schema = orjson.dumps(ENDLESS[case])

    assert json_schemas.unusable([f'{{"1": {schema.decode()}}}']) == [None]
    assert isinstance(json_schemas.faults(schema, b'{"a": {"a": {}}}'), list)


@pytest.mark.parametrize(
    "wide",
    [
        lambda size: {"enum": list(range(size))},
        lambda size: {"properties": {str(n): {"type": "string"} for n in range(size)}},
        lambda size: {"required": [str(n) for n in range(size)]},
        lambda size: {"not": {"not": {"items": {"const": list(range(size))}}}},
        lambda size: {"multipleOf": 0.01, "enum": ["7" * 40] * size},
    ],
)
def test_what_is_checked_on_the_loop_is_a_matter_of_a_moment(wide: Callable[[int], Any]) -> None:
    payload = orjson.dumps([{}] * 500)

    def weight(size: int) -> float:
        return json_schemas.weight(orjson.dumps({"items": wide(size)}))

    largest = next(size for size in range(1_000, 0, -1) if is_cheap_to_check(weight(size), payload))
    began = time.thread_time()
    json_schemas.faults(orjson.dumps({"items": wide(largest)}), payload)

    assert time.thread_time() - began < 1  # of the processor, not of the clock; it is a twentieth of that
    assert not is_cheap_to_check(weight(largest * 10), payload)


def test_schemas_that_take_long_to_look_at_are_refused_before_anybody_does() -> None:
    wide = {"properties": {f"p{n}": {"pattern": "^[a-z]{1,30}$"} for n in range(100_000)}}

    with pytest.raises(ValueError, match="at most"):
        json_schemas.written({"1": wide})


def test_a_schema_is_refused_for_its_depth() -> None:
    deep: Any = {}
    for _ in range(5_000):
        deep = {"not": deep}

    with pytest.raises(ValueError, match="too deep"):
        json_schemas.written({"1": deep})
