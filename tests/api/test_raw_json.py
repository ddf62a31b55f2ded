"""Payloads are cut out of a body byte for byte."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.raw_json import members

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
    body = b'{"payload":' + deep + b"}"
    assert orjson.loads(body)

    assert members(body)["payload"] == deep
