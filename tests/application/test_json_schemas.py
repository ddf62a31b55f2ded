"""What a schema says of a payload: a table of what others get wrong, beside the official suite."""

from typing import Any

import pytest

from service.application import exact_json, json_schemas

NEWEST = "https://json-schema.org/draft/2020-12/schema"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
TAKEN: list[tuple[str, str]] = [
    ('{"multipleOf": 0.01}', "19.99"),
    ('{"multipleOf": 0.01}', "1e400"),
    ('{"multipleOf": 0.1}', "0.3"),
    ('{"pattern": "^a$"}', '"a"'),
    (r'{"pattern": "^\\<a\\>$"}', '"<a>"'),
    (r'{"pattern": "^\\p{L}+$"}', '"\u00fcb\u4e2d"'),
    (r'{"pattern": "^\\p{Script=Greek}$"}', '"\u03b1"'),
    (r'{"pattern": "^[\\w.-]+@[\\w.-]+$"}', '"a.b@example.com"'),
    (r'{"pattern": "\\u0041"}', '"A"'),
    ('{"pattern": "b"}', '"abc"'),
    ('{"pattern": "^[^]+$"}', r'"a\n"'),
    (r'{"pattern": "^(a)(?<y>\\d)(b)-\\k<y>0$"}', '"a1b-10"'),
    (r'{"pattern": "^\\0[^\\0]$"}', r'"\u0000a"'),
    (r'{"pattern": "^[\\b]$"}', r'"\b"'),
    (r'{"pattern": "^\\ud83d\\ude00[\\uD83D\\uDE00]$"}', '"\U0001f600\U0001f600"'),
    ('{"pattern": "^{{a}}]x{,3}y{2}$"}', '"{{a}}]x{,3}yy"'),
    (r'{"pattern": "^\\\u00e9[\\\u00e9]\\p{L}{2}\\u{61}[[\\]\\-]?[^]$"}', '"\u00e9\u00e9bcaz"'),
    (r'{"pattern": "^[[({})\\]]+[^]$"}', '"[({})]z"'),
    ('{"patternProperties": {"^[^]$": {"minimum": 1}}, "const": {"pattern": "[^]"}}', '{"pattern": "[^]"}'),
    ('{"const": 12345678901234567890123}', "12345678901234567890123"),
    ('{"const": 1}', "1.0"),
    ('{"enum": [100]}', "1E+2"),
    ('{"type": "integer"}', "1.0"),
    ('{"type": "integer"}', "9" * 400),
    ('{"maximum": 18446744073709551616}', "18446744073709551616"),
    ('{"minimum": 1}', "9" * 400),
    ('{"maxLength": 1}', '"\U0001f389"'),
    ('{"format": "email"}', '"none"'),
    ('{"prefixItems": [false]}', "[1]"),
    (f'{{"$schema": "{DRAFT_7}", "prefixItems": [false]}}', "[1]"),
    (f'{{"$schema": "{DRAFT_7}", "items": [{{"type": "integer"}}]}}', '[1, "a"]'),
    (f'{{"$schema": "{NEWEST}", "prefixItems": [{{"type": "integer"}}]}}', '[1, "a"]'),
    (f'{{"$schema": "{NEWEST}", "$ref": "#/$defs/a", "$defs": {{"a": {{"minimum": 1}}}}}}', "1"),
    ('{"$ref": "#a", "definitions": {"b": {"$id": "#a", "minimum": 1}}}', "1"),
    ("true", "1"),
    ("{}", '{"a": [null]}'),
]
REFUSED: list[tuple[str, str, str]] = [
    ('{"multipleOf": 0.01}', "19.999", "payload: 19.999 is not a multiple of 0.01"),
    ('{"pattern": "^a$"}', r'"a\n"', 'payload: the value does not match "^a$"'),
    ('{"pattern": "^a|[]$"}', '"b"', "payload: the value does not match"),
    (r'{"pattern": "^(?<y>\\d)\\k<y>$"}', '"12"', "payload: the value does not match"),
    (r'{"pattern": "^[^\\b]$"}', r'"\b"', "payload: the value does not match"),
    ('{"patternProperties": {"^[^]$": {"minimum": 1}}}', '{"a": 0}', "a: 0 is less than the minimum 1"),
    (r'{"pattern": "^\\d$"}', '"\u0663"', r'payload: the value does not match "^\d$"'),
    (r'{"pattern": "^\\w$"}', '"\u00fc"', r'payload: the value does not match "^\w$"'),
    (r'{"pattern": "^\\p{Lu}$"}', '"a"', r'payload: the value does not match "^\p{Lu}$"'),
    ('{"const": 12345678901234567890123}', "12345678901234567890124", "payload: 12345678901234567890123 was expected"),
    ('{"const": 0.12345678901234567890}', "0.12345678901234567891", "payload: 0.12345678901234567890 was expected"),
    (
        '{"maximum": 18446744073709551616}',
        "18446744073709551617",
        "payload: 18446744073709551617 is greater than the maximum 18446744073709551616",
    ),
    ('{"maximum": 1}', "9" * 400, "payload: the value is greater than the maximum 1"),
    (
        '{"properties": {"amount": {"minimum": 10}}}',
        '{"amount": 5}',
        "amount: 5 is less than the minimum 10",
    ),
    ('{"items": {"required": ["id"]}}', "[{}]", '0: "id" is a required property'),
    ('{"properties": {"a": {"type": "string"}}}', '{"a": null}', 'a: null is not of type "string"'),
    ('{"properties": {"a": {"maxLength": 2}}}', '{"a": "secret"}', "a: the value is longer than 2 characters"),
    (
        '{"properties": {"a": {"minimum": 1}}, "additionalProperties": false}',
        '{"b": 1}',
        "payload: Additional properties are not allowed ('b' was unexpected)",
    ),
    ('{"uniqueItems": true}', "[1, 1.0]", "payload: the value has non-unique elements"),
    (f'{{"$schema": "{DRAFT_7}", "items": [false]}}', "[1]", "0: False schema does not allow 1"),
    (f'{{"$schema": "{NEWEST}", "prefixItems": [false]}}', "[1]", "0: False schema does not allow 1"),
    (f'{{"$schema": "{NEWEST}", "unevaluatedProperties": false}}', '{"a": 1}', "payload: Unevaluated properties"),
    ('{"$schema": "https://json-schema.org/draft/2019-09/schema", "dependentRequired": {"a": ["b"]}}', '{"a": 1}', "b"),
    ("false", "1", "payload: False schema does not allow 1"),
    ("{}", '"\\ud800"', "it is not JSON that can be checked"),
    ('{"type": "object"}', "[" * 600 + "]" * 600, "it is nested too deep to be checked"),
    ("{}", "[" * 3000 + "]" * 3000, "it is nested too deep"),
]


@pytest.mark.parametrize(("schema", "payload"), TAKEN)
def test_a_payload_that_keeps_its_schema_has_no_fault(schema: str, payload: str) -> None:
    assert json_schemas.unusable([f'{{"1": {schema}}}']) == [None]
    assert json_schemas.faults(schema.encode(), payload.encode()) == []


@pytest.mark.parametrize(("schema", "payload", "fault"), REFUSED)
def test_a_payload_that_breaks_its_schema_is_told_what_was_expected(schema: str, payload: str, fault: str) -> None:
    told = json_schemas.faults(schema.encode(), payload.encode())

    assert len(told) == 1
    assert fault in told[0]


UNUSABLE: list[tuple[Any, str]] = [
    ({"type": "nothing"}, 'type: "nothing" is not'),
    ({"properties": {"a": {"minimum": "low"}}}, 'properties/a/minimum: "low" is not'),
    ({"pattern": "("}, 'pattern: "(" is not'),
    ({"patternProperties": {"[": {}}}, "is not"),
    ({"$schema": "https://example.com/own"}, "2019-09 or 2020-12"),
    ({"$ref": "#/definitions/missing"}, "does not exist"),
    ({"$ref": "https://example.com/other.json"}, "own parts only"),
    ({"$ref": "file:///etc/passwd"}, "own parts only"),
    ({"$ref": "other.json"}, "own parts only"),
    ({"$id": "https://example.com/a", "$ref": "b"}, "own parts only"),
    ({"items": [{"not": {"$ref": "//127.0.0.1/x"}}]}, "own parts only"),
    ({"$schema": NEWEST, "$dynamicRef": "https://example.com/x"}, "own parts only"),
    (exact_json.read('{"not":' * 300 + "{}" + "}" * 300), "nested too deep"),
    (exact_json.read('{"not":' * 250 + '{"pattern": "("}' + "}" * 250), "is not a"),
    ([], "A schema is an object"),
    (5, "A schema is an object"),
]


@pytest.mark.parametrize(("schema", "reason"), UNUSABLE, ids=str)
def test_what_is_no_schema_is_refused_and_nothing_is_fetched_for_it(schema: Any, reason: str) -> None:
    (fault,) = json_schemas.unusable([exact_json.written({"1": {}, "2": schema}).decode()])

    assert fault is not None
    assert fault.startswith("Version 2: ")
    assert reason in fault


def test_a_keyword_of_earlier_releases_is_none_that_a_caller_can_use() -> None:
    schema = b'{"properties": {"x": {"x-pattern-of-before": "(a+)+$"}}}'

    assert json_schemas.faults(schema, b'{"x": "%s!"}' % (b"a" * 60)) == []


def test_a_stored_schema_that_cannot_be_read_any_more_is_told_with_its_fault() -> None:
    (fault,) = json_schemas.faults(b'{"maximum": %s}' % (b"9" * 5000), b"1")

    assert fault.startswith("the schema cannot be used any more, replace it. In it an integer has more than ")


def test_schemas_have_so_many_levels_wherever_they_are_read() -> None:
    def nested(levels: int) -> dict[str, Any]:
        constant: list[Any] = []
        for _ in range(levels - 3):
            constant = [constant]
        return {"1": {"const": constant}}

    assert json_schemas.unusable([json_schemas.written(nested(json_schemas.MAX_DEPTH))]) == [None]
    with pytest.raises(ValueError, match="nested too deep"):
        json_schemas.written(nested(json_schemas.MAX_DEPTH + 1))


@pytest.mark.parametrize(
    ("schemas", "newest"),
    [
        (None, None),
        ("{}", None),
        ('{"1": {"a":1}}', b'{"a":1}'),
        ('{"10": true, "9": false}', b"true"),
        ('{"b": 1.10, "a": 2}', b"1.10"),
        ('{"1": true, "v2": false}', b"true"),
        ('{"007": true, "10": false, "v2": true}', b"false"),
        (f'{{"{"9" * 2000}": true, "1{"0" * 1999}": false}}', b"true"),
    ],
)
def test_the_newest_version_counts_as_it_is_written(schemas: str | None, newest: bytes | None) -> None:
    assert json_schemas.newest(schemas) == newest
