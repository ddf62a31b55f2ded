"""Cutting values out of a JSON document without changing a byte of them."""

import re

import orjson

_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[^,}\] \t\n\r]+")
_BRACKET_OR_STRING = re.compile(rb'[{}\[\]]|"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OPENING = frozenset(b"{[")
_CLOSING = frozenset(b"}]")


def members(document: bytes) -> dict[str, bytes]:
    """The values of an object by name, each as it was written; of a repeated name, the last, as parsers do.

    `document` must be valid JSON with an object at the top: nothing is checked again here.
    """
    values: dict[str, bytes] = {}
    position = _skip_space(document, _skip_space(document, 0) + 1)
    while document[position] == ord('"'):
        end = _end_of_string(document, position)
        name = orjson.loads(document[position:end])
        start = _skip_space(document, _skip_space(document, end) + 1)  # the colon, with space on both sides
        end = _end_of_value(document, start)
        values[name] = document[start:end]
        position = _skip_space(document, end)
        if document[position] == ord("}"):
            break
        position = _skip_space(document, position + 1)
    return values


def _end_of_value(document: bytes, start: int) -> int:
    first = document[start]
    if first in _OPENING:
        return _end_of_container(document, start)
    if first == ord('"'):
        return _end_of_string(document, start)
    scalar = _SCALAR.match(document, start)
    return scalar.end() if scalar else start


def _end_of_container(document: bytes, start: int) -> int:
    depth = 0
    for token in _BRACKET_OR_STRING.finditer(document, start):
        character = document[token.start()]
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
            if depth == 0:
                return token.end()
    raise ValueError("the document ends within a value")


def _end_of_string(document: bytes, start: int) -> int:
    string = _STRING.match(document, start)
    if string is None:
        raise ValueError("the document ends within a string")
    return string.end()


def _skip_space(document: bytes, position: int) -> int:
    space = _SPACE.match(document, position)
    return space.end() if space else position
