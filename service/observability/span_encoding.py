"""Spans as the bytes of an OTLP `ExportTraceServiceRequest`, written straight into the wire format of protobuf.

The numbers are those of opentelemetry/proto/trace/v1/trace.proto. Building a message object for each attribute first,
as the SDK's encoder does, costs three times as much, on the interpreter that answers the requests meanwhile.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.util.types import AnyValue

_KINDS = {kind: bytes([0x30, kind.value + 1]) for kind in SpanKind}
_TIMES = struct.Struct("<BQBQ").pack
_TIME = struct.Struct("<BQ").pack
_FLAGS = struct.Struct("<HI").pack  # field 16 has a tag of two bytes
_LINK_FLAGS = struct.Struct("<BI").pack
_DOUBLE = struct.Struct("<Bd").pack

_SCALARS = frozenset({str, int, bool})
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
_FEW = [bytes([number]) for number in range(128)]


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """One request with all of them. They are of one process, so they have one resource."""
    scopes: dict[int, tuple[InstrumentationScope | None, list[bytes]]] = {}
    for span in spans:
        scope = span.instrumentation_scope
        _, written = scopes.setdefault(id(scope), (scope, []))
        written.append(_field(0x12, _span(span)))
    inside = b"".join(_field(0x12, _scope(scope) + b"".join(written)) for scope, written in scopes.values())
    return _field(0x0A, _resource(spans[0].resource, inside)) if spans else b""


def _resource(resource: Resource, inside: bytes) -> bytes:
    described = _field(0x0A, _attributes(0x0A, resource.attributes))
    return described + inside + _text(0x1A, resource.schema_url)


def _scope(scope: InstrumentationScope | None) -> bytes:
    if scope is None:
        return _field(0x0A, b"")
    named = _text(0x0A, scope.name) + _text(0x12, scope.version) + _attributes(0x1A, scope.attributes)
    return _field(0x0A, named) + _text(0x1A, scope.schema_url)


def _span(span: ReadableSpan) -> bytes:
    context, parent = span.context, span.parent
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16),
        b"\x12\x08",
        context.span_id.to_bytes(8),
        _trace_state(context),
    ]
    if parent is not None:
        parts += (b"\x22\x08", parent.span_id.to_bytes(8))
    parts += (
        _text(0x2A, span.name),
        _KINDS[span.kind],
        _TIMES(0x39, span.start_time or 0, 0x41, span.end_time or 0),
        _attributes(0x4A, span.attributes),
        _count(0x50, span.dropped_attributes),
    )
    parts += (_field(0x5A, _event(event)) for event in span.events)
    parts.append(_count(0x60, span.dropped_events))
    parts += (_field(0x6A, _link(link)) for link in span.links)
    parts.append(_count(0x70, span.dropped_links))
    parts.append(_field(0x7A, _text(0x12, span.status.description) + _count(0x18, span.status.status_code.value)))
    parts.append(_FLAGS(0x0185, _flags(parent)))
    return b"".join(parts)


def _event(event: Event) -> bytes:
    timed = _TIME(0x09, event.timestamp) + _text(0x12, event.name)
    return timed + _attributes(0x1A, event.attributes) + _count(0x20, event.dropped_attributes)


def _link(link: Link) -> bytes:
    context = link.context
    named = b"\x0a\x10" + context.trace_id.to_bytes(16) + b"\x12\x08" + context.span_id.to_bytes(8)
    told = _attributes(0x22, link.attributes) + _count(0x28, link.dropped_attributes)
    return named + told + _LINK_FLAGS(0x35, _flags(context))


def _flags(context: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | (_IS_REMOTE if context is not None and context.is_remote else 0)


def _trace_state(context: SpanContext) -> bytes:
    state = context.trace_state
    return _text(0x1A, ",".join(f"{key}={value}" for key, value in state.items())) if state else b""


def _attributes(tag: int, attributes: Mapping[str, AnyValue] | None) -> bytes:
    if not attributes:
        return b""
    return b"".join(
        _repeated(tag, key, value) if type(value) in _SCALARS else _attribute(tag, key, value)
        for key, value in attributes.items()
    )


def _attribute(tag: int, key: str, value: AnyValue) -> bytes:
    return _field(tag, _field(0x0A, key.encode()) + _field(0x12, _value(value)))


# Most of what spans say they say again and again: methods, routes, addresses, statuses.
_repeated = lru_cache(maxsize=2048, typed=True)(_attribute)


def _value(value: AnyValue) -> bytes:
    """An AnyValue: which field it is says of what type it is, so that an empty text or a zero is written too."""
    match value:
        case str():
            return _field(0x0A, value.encode())
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        case float():
            return _DOUBLE(0x21, value)
        case _:
            return _nested(value)


def _nested(value: AnyValue) -> bytes:
    match value:
        case bytes():
            return _field(0x3A, value)
        case Mapping():
            return _field(0x32, _attributes(0x0A, value))
        case Iterable():
            return _field(0x2A, b"".join(_field(0x0A, _value(each)) for each in value))
        case _:
            return b""


def _text(tag: int, text: str | None) -> bytes:
    return _field(tag, text.encode()) if text else b""


def _count(tag: int, number: int) -> bytes:
    return bytes([tag]) + _varint(number) if number else b""


def _field(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number < 128:
        return _FEW[number]
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)
