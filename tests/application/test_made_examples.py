"""An example that is made from a schema: it keeps the schema, is the same each time, and never large."""

from typing import Any

import pytest

from service.application import exact_json, json_schemas
from service.application.made_examples import MAX_VALUES, made

SCHEMAS: list[tuple[str, str]] = [
    ('{"type": "object"}', "{}"),
    ('{"properties": {"id": {"type": "integer"}, "paid": {"type": "boolean"}}}', '{"id":0,"paid":true}'),
    ('{"required": ["id"], "properties": {"z": {"type": "null"}}}', '{"z":null,"id":"string"}'),
    ('{"properties": {"n": {"type": "number", "minimum": 0.5, "multipleOf": 0.2}}}', '{"n":0.6}'),
    ('{"properties": {"n": {"exclusiveMinimum": 9}, "m": {"maximum": -1}}}', '{"n":10,"m":-1}'),
    ('{"properties": {"n": {"type": "number", "exclusiveMaximum": 0}}}', '{"n":-1}'),
    ('{"properties": {"s": {"type": "string", "minLength": 8}}}', '{"s":"stringxx"}'),
    ('{"properties": {"s": {"type": "string", "maxLength": 3}}}', '{"s":"str"}'),
    ('{"properties": {"at": {"type": "string", "format": "date-time"}}}', '{"at":"2026-03-01T09:30:00Z"}'),
    ('{"properties": {"a": {"type": "array", "items": {"type": "integer"}, "minItems": 2}}}', '{"a":[0,0]}'),
    ('{"properties": {"a": {"type": "array", "items": [{"const": 1}, {"const": 2}]}}}', '{"a":[1,2]}'),
    ('{"properties": {"e": {"enum": ["EUR", "USD"]}, "d": {"default": 7}}}', '{"e":"EUR","d":7}'),
    ('{"properties": {"e": {"examples": [19.90, 2]}, "c": {"const": null}}}', '{"e":19.90,"c":null}'),
    ('{"properties": {"t": {"type": ["null", "integer"]}}}', '{"t":0}'),
    ('{"$ref": "#/definitions/a", "definitions": {"a": {"properties": {"b": {"const": 1}}}}}', '{"b":1}'),
    (
        '{"allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["b"], "properties": {"b": {"const": 2}}}]}',
        '{"b":2,"a":1}',
    ),
    ('{"anyOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}', '{"a":1}'),
]


@pytest.mark.parametrize(("schema", "example"), SCHEMAS)
def test_an_example_keeps_its_schema_and_is_always_the_same(schema: str, example: str) -> None:
    first, second = (exact_json.written(made(exact_json.read(schema))) for _ in range(2))

    assert first == second == example.encode()
    assert json_schemas.faults(schema.encode(), first) == []


WIDE = {str(number): {"$ref": "#"} for number in range(2_000)}
HOSTILE: dict[str, Any] = {
    "itself": {"$ref": "#"},
    "itself within": {"properties": {"a": {"$ref": "#"}}},
    "itself, twice and wide": {"properties": WIDE, "required": list(WIDE)},
    "a list of itself": {"properties": {"a": {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}}}},
    "all of itself": {"allOf": [{"$ref": "#"}] * 1_000, "properties": {"a": {}}},
    "a very long text": {"properties": {"a": {"type": "string", "minLength": 10**9}}},
    "a very large number": {"properties": {"a": {"minimum": 10**300, "multipleOf": 3}}},
    "many required": {"required": [str(number) for number in range(20_000)]},
    "nonsense": {"properties": {"a": {"minLength": [], "type": 5, "required": {}, "$ref": 7}}, "required": [1, {}]},
    "references to nothing": {"$ref": "#/definitions/a/b/c"},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_example_is_never_large(case: str) -> None:
    written = exact_json.written(made(HOSTILE[case]))

    assert len(written) < 20 * MAX_VALUES
