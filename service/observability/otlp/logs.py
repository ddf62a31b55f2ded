"""A log record as the bytes of a `LogRecord` (opentelemetry/proto/logs/v1/logs.proto)."""

import struct
from functools import lru_cache

from opentelemetry._logs import LogRecord, SeverityNumber

from service.observability.otlp.wire import attributes, count, field, text, value

_TIMES = struct.Struct("<BQBQ").pack
_FLAGS = struct.Struct("<BI").pack


def encode_log(said: LogRecord) -> bytes:
    """The record without its resource and scope, which are added once per request."""
    parts = [
        _TIMES(0x09, said.timestamp or 0, 0x59, said.observed_timestamp or 0),
        _severity(said.severity_number, said.severity_text),
        _event(said.body) if type(said.body) is str else field(0x2A, value(said.body)),
        attributes(0x32, said.attributes),
        text(0x62, said.event_name),
    ]
    if said.trace_flags:
        parts.append(_FLAGS(0x45, int(said.trace_flags)))
    if said.trace_id:
        parts += (b"\x4a\x10", said.trace_id.to_bytes(16))
    if said.span_id:
        parts += (b"\x52\x08", said.span_id.to_bytes(8))
    return b"".join(parts)


# Cached: there are few levels and events.
@lru_cache(maxsize=64)
def _severity(number: SeverityNumber | None, written: str | None) -> bytes:
    return count(0x10, number.value if number else 0) + text(0x1A, written)


@lru_cache(maxsize=256)
def _event(name: str) -> bytes:
    return field(0x2A, value(name))
