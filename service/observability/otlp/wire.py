"""The part of protobuf's wire format that OTLP needs: fields, values, attributes and export requests.

Field numbers are those of opentelemetry-proto's `.proto` files. The SDK's encoders build a message object for each
attribute first, which costs four times as much processor time in the process that answers requests.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import AnyValue

_DOUBLE = struct.Struct("<Bd").pack
_SCALARS = frozenset({str, int, bool})
_SINGLE_BYTES = [bytes([number]) for number in range(128)]


# The scope of a span or log record, and its bytes.
Encoded = tuple[InstrumentationScope | None, bytes]


def request(resource: Resource, items: Sequence[Encoded]) -> bytes:
    """An export request with all items, grouped by scope."""
    if not items:
        return b""
    scopes: dict[int, tuple[InstrumentationScope | None, list[bytes]]] = {}
    for scope, encoded in items:
        _, written = scopes.setdefault(id(scope), (scope, []))
        written.append(field(0x12, encoded))
    inside = b"".join(field(0x12, _of_scope(scope, b"".join(written))) for scope, written in scopes.values())
    described = field(0x0A, attributes(0x0A, resource.attributes))
    return field(0x0A, described + inside + text(0x1A, resource.schema_url))


def attributes(tag: int, told: Mapping[str, AnyValue] | None) -> bytes:
    """Each attribute as a `KeyValue` in a field with that tag."""
    if not told:
        return b""
    parts = []
    # The SDK's mapping is read past its interface: its iterator alone costs half of the encoding.
    for key, said in getattr(told, "_dict", told).items():
        kind = type(said)
        if kind in _SCALARS and key not in _IDS:
            parts.append(_repeated(tag, key, said))
        elif isinstance(said, str):
            parts.append(_attribute_of_id(tag, key, said))
        else:
            parts.append(_attribute(tag, key, said))
    return b"".join(parts)


def value(said: AnyValue) -> bytes:
    """An `AnyValue`. Its field number says the type, so that an empty text or a zero is written too."""
    match said:
        case str():
            return field(0x0A, _utf8(said))
        case bool():
            return b"\x10\x01" if said else b"\x10\x00"
        case int():
            return b"\x18" + _varint(said & 0xFFFF_FFFF_FFFF_FFFF)
        case float():
            return _DOUBLE(0x21, said)
        case _:
            return _nested(said)


def text(tag: int, written: str | None) -> bytes:
    """A string field, left out when empty."""
    return field(tag, _utf8(written)) if written else b""


def count(tag: int, number: int) -> bytes:
    """An integer field, left out when 0."""
    return _SINGLE_BYTES[tag] + _varint(number) if number else b""


def field(tag: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return _SINGLE_BYTES[tag] + _varint(len(content)) + content


def _of_scope(scope: InstrumentationScope | None, items: bytes) -> bytes:
    if scope is None:
        return field(0x0A, b"") + items
    named = text(0x0A, scope.name) + text(0x12, scope.version) + attributes(0x1A, scope.attributes)
    return field(0x0A, named) + items + text(0x1A, scope.schema_url)


def _attribute(tag: int, key: str, said: AnyValue) -> bytes:
    return field(tag, field(0x0A, _utf8(str(key))) + field(0x12, value(said)))


# Cached, since most attributes repeat: methods, routes, addresses, statuses.
_repeated = lru_cache(maxsize=2048, typed=True)(_attribute)


def _attribute_of_id(tag: int, key: str, said: str) -> bytes:
    """A text that never repeats, and is short."""
    written, named = said.encode(errors="replace"), _key(key)
    size = len(written)
    if size > _SHORT:
        return _attribute(tag, key, said)
    return b"%c%c%b\x12%c\x0a%c%b" % (tag, len(named) + size + 4, named, size + 2, size, written)


@cache
def _key(key: str) -> bytes:
    return field(0x0A, _utf8(key))


# The attributes whose values are new each time. Their names are short enough for one byte to tell their size.
_IDS = frozenset({"correlation_id", "message_id", "relevo.correlation_id", "relevo.message.id"})
_SHORT = 64


def _nested(said: AnyValue) -> bytes:
    match said:
        case bytes():
            return field(0x3A, said)
        case Mapping():
            return field(0x32, attributes(0x0A, said))
        case Iterable():
            return field(0x2A, b"".join(field(0x0A, value(each)) for each in said))
        case _:
            return b""


def _utf8(written: str) -> bytes:
    # A lone surrogate is replaced: a request or attempt must not fail because of a character in its telemetry.
    return written.encode(errors="replace")


def _varint(number: int) -> bytes:
    if number < 128:
        return _SINGLE_BYTES[number]
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)
