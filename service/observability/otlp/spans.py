"""A span as the bytes of a `Span` (opentelemetry/proto/trace/v1/trace.proto)."""

import struct
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind

from service.observability.otlp.wire import attributes, count, field, text

if TYPE_CHECKING:
    from service.observability.otlp.tracer import EncodedSpan

_KINDS = {kind: bytes([0x30, kind.value + 1]) for kind in SpanKind}
_TIMES = struct.Struct("<BQBQ").pack
_TIME = struct.Struct("<BQ").pack
_FLAGS = struct.Struct("<HI").pack  # field 16 has a tag of two bytes
_LINK_FLAGS = struct.Struct("<BI").pack
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200


def encode_span(span: "ReadableSpan | EncodedSpan") -> bytes:
    """The span without its resource and scope, which are added once per request."""
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
        text(0x2A, span.name),
        _KINDS[span.kind],
        _TIMES(0x39, span.start_time or 0, 0x41, span.end_time or 0),
        attributes(0x4A, span.attributes),
        count(0x50, span.dropped_attributes),
    )
    parts += [field(0x5A, _event(event)) for event in span.events]
    parts.append(count(0x60, span.dropped_events))
    parts += [field(0x6A, _link(link)) for link in span.links]
    parts.append(count(0x70, span.dropped_links))
    parts.append(field(0x7A, text(0x12, span.status.description) + count(0x18, span.status.status_code.value)))
    parts.append(_FLAGS(0x0185, _flags(parent)))
    return b"".join(parts)


def _event(event: Event) -> bytes:
    timed = _TIME(0x09, event.timestamp) + text(0x12, event.name)
    return timed + attributes(0x1A, event.attributes) + count(0x20, event.dropped_attributes)


def _link(link: Link) -> bytes:
    context = link.context
    named = b"\x0a\x10" + context.trace_id.to_bytes(16) + b"\x12\x08" + context.span_id.to_bytes(8)
    told = attributes(0x22, link.attributes) + count(0x28, link.dropped_attributes)
    return named + told + _LINK_FLAGS(0x35, _flags(context))


def _flags(context: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | (_IS_REMOTE if context is not None and context.is_remote else 0)


def _trace_state(context: SpanContext) -> bytes:
    state = context.trace_state
    return text(0x1A, ",".join(f"{key}={value}" for key, value in state.items())) if state else b""
