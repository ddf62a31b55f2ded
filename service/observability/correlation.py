"""The correlation id and the trace context, which connect a request's log lines, spans and rows. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

REQUEST_ID = "x-request-id"
SDK_REQUEST_ID = "svix-req-id"
IN_SCOPE = "relevo.correlation_id"  # where a request's scope has its id, for who needs it often: it is bound as well

_TOLD = {name.encode(): name for name in (REQUEST_ID, SDK_REQUEST_ID, "traceparent", "tracestate", "user-agent")}
_as_we_write_it = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch
_acceptable = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
_NOBODY = Context()


def told(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """What a request's header fields tell of the request itself, read in one pass; of a repeated field the first."""
    return {_TOLD[name]: value.decode("latin-1") for name, value in reversed(fields) if name in _TOLD}


def correlation_id(headers: Mapping[str, str], fresh: Callable[[], str]) -> str:
    """The caller's `X-Request-ID` if it has 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_` and `-`, else a fresh one.

    The SDKs' own header `svix-req-id` counts only when there is no `X-Request-ID` at all.
    """
    given = headers.get(REQUEST_ID)
    if given is None:
        given = headers.get(SDK_REQUEST_ID)
    return given if given is not None and _acceptable(given) else fresh()


def traceparent(context: SpanContext) -> str | None:
    """The context as a W3C `traceparent`, None when it is not valid."""
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(written: str | None, state: str | None = None) -> Context:
    """The context that a W3C `traceparent` names, with its `tracestate`; an empty context when there is none or it is
    malformed."""
    if written is None:
        return _NOBODY
    if state is None and (parts := _as_we_write_it(written)) is not None:
        # The propagator takes twice as long: its headers may be in any case and order.
        trace_id, span_id, flags = (int(part, 16) for part in parts.groups())
        context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
        return set_span_in_context(NonRecordingSpan(context), Context()) if context.is_valid else _NOBODY
    carrier = {"traceparent": written} if state is None else {"traceparent": written, "tracestate": state}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def span_id(context: SpanContext) -> str | None:
    """The span id as 16 hexadecimal digits, None when the context is not valid."""
    return f"{context.span_id:016x}" if context.is_valid else None


def trace_id(context: SpanContext) -> str | None:
    """The trace id as 32 hexadecimal digits, None when the context is not valid."""
    return f"{context.trace_id:032x}" if context.is_valid else None
