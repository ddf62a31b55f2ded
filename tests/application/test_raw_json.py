"""Payloads are cut out of a body byte for byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.application.raw_json import MAX_WHOLE_BYTES, Members, is_object, members

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
layouts = st.sampled_from(
    [
        {"separators": (",", ":")},
        {"indent": 2},
        {"separators": (" ,\t", "\r\n: "), "ensure_ascii": False},
        {"indent": "\t", "ensure_ascii": False},
    ]
)


@given(st.dictionaries(texts, values, max_size=5), layouts)
def test_every_member_is_found_and_means_the_same(document: dict[str, object], layout: dict[str, object]) -> None:
    body = json.dumps(document, **layout).encode()  # type: ignore[arg-type] # keyword arguments chosen by name

    found = members(body)

    assert {name: json.loads(raw) for name, raw in found.items()} == document
    assert all(raw in body for raw in found.values())


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "\\u0061"]), values), max_size=6))
def test_of_a_repeated_name_the_last_value_counts(pairs: list[tuple[str, object]]) -> None:
    body = ("{" + ",".join(f'"{name}": {json.dumps(value)}' for name, value in pairs) + "}").encode()

    found = members(body)

    assert {name: json.loads(raw) for name, raw in found.items()} == json.loads(body)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b'{"payload":{}}', b"{}"),
        (b' {\n"payload" : {"a" :  1.10} , "x":1 } \n', b'{"a" :  1.10}'),
        (b'{"payload":{"s":"}\\"]{","n":[[{}],"\\\\"]},"z":"{"}', b'{"s":"}\\"]{","n":[[{}],"\\\\"]}'),
        (b'{"p\\u0061yload":{"big":100000000000000000000000.0}}', b'{"big":100000000000000000000000.0}'),
        (b'{"payload":1,"payload":{"last":true}}', b'{"last":true}'),
        ('{"payload":{"ü":"🎉"}}'.encode(), '{"ü":"🎉"}'.encode()),
    ],
)
def test_the_slice_is_what_the_caller_wrote(body: bytes, payload: bytes) -> None:
    assert members(body)["payload"] == payload


def test_deep_nesting_needs_no_deep_stack() -> None:
    deep = b'{"a":' * 1000 + b"1" + b"}" * 1000

    assert members(b'{"payload":' + deep + b"}")["payload"] == deep


NUMBERS = ("0", "-0", "-0.0", "1.10", "1E+5", "1e400", "-1e-999999", "9" * 400, "-" + "9" * 400, "9" * 5000 + ".5")


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:12])
def test_a_number_of_any_size_is_taken_as_it_is_written(number: str) -> None:
    payload = f'{{"n": {number}, "m": [{number}]}}'.encode()

    assert members(b'{"payload":' + payload + b"}")["payload"] == payload
    assert is_object(payload)


NO_JSON = {
    "nothing": b"",
    "blanks": b" \n",
    "broken off": b'{"a": {"b": 1}',
    "broken off within a text": b'{"a": "b',
    "broken off within an escape": b'{"a": "\\u00',
    "something behind it": b"{} {}",
    "a NUL behind it": b"{}\0",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no UTF-8": b'{"a": "\xff"}',
    "an overlong character": b'{"a": "\xc0\x80"}',
    "half a character, encoded": b'{"a": "\xed\xa0\x80"}',
    "half a character, cut off": b'{"a": "\xe2\x82"}',
    "no UTF-8 in a name": b'{"a": {"\xff": 1}}',
    "half a character, escaped": b'{"a": "\\ud800"}',
    "the other half": b'{"a": "\\udc00"}',
    "two first halves": b'{"a": "\\ud800\\ud800"}',
    "half a character in a name": b'{"a": {"\\ud800": 1}}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": [Infinity]}',
    "minus Infinity": b'{"a": -Infinity}',
    "a leading zero": b'{"a": 01}',
    "a leading plus": b'{"a": +1}',
    "a bare minus": b'{"a": -}',
    "a bare point": b'{"a": 1.}',
    "no digit before the point": b'{"a": .5}',
    "no exponent": b'{"a": 1e}',
    "hexadecimal": b'{"a": 0x10}',
    "a comma too many": b'{"a": [1,]}',
    "a member too few": b'{"a": {"b": 1,}}',
    "no colon": b'{"a" 1}',
    "single quotes": b"{'a': 1}",
    "a comment": b'{"a": 1 /* one */}',
    "a raw control character": b'{"a": "\x01"}',
    "a line end in a text": b'{"a": "b\n"}',
    "an unknown escape": b'{"a": "\\x41"}',
    "a word": b'{"a": nul}',
    "a word with more behind": b'{"a": truely}',
    "a vertical tab": b'{"a":\x0b1}',
    "lists without end": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects without end": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "opened only": b'{"a":' + b"[" * 1_000_000,
    "a list": b"[]",
    "a text": b'"a"',
    "null": b"null",
}


@pytest.mark.parametrize("case", NO_JSON)
@pytest.mark.parametrize("size", [0, MAX_WHOLE_BYTES], ids=["small", "large"])
def test_what_is_not_the_json_of_an_object_is_refused_wherever_it_stands(case: str, size: int) -> None:
    document = b" " * size + NO_JSON[case]

    assert not is_object(document)
    with pytest.raises(ValueError):  # noqa: PT011 - what it says is the library's
        Members(["payload"]).of(document)


def test_of_a_large_document_only_the_names_that_are_asked_for_are_cut_out() -> None:
    others = ",".join(f'"{number}":{{"payload":0}}' for number in range(10_000))
    document = f'{{"payload":1,{others},"payload":{{"a": 1.0}},"tags":null}}'.encode()

    assert Members(["payload", "tags", "missing"]).of(document) == {"payload": b'{"a": 1.0}', "tags": b"null"}
