"""Our own spans have the ids and flags that the SDK would have given them, and say the same at their end."""

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WrittenSpan
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
)

from service.observability.otlp.spans import encode_span
from service.observability.otlp.tracer import EncodingTracer
from service.observability.sampling import sampler
from service.observability.telemetry import open_telemetry
from tests.support.otlp import Collector

SAMPLERS = ["parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio", "always_on", "always_off"]
STATE = TraceState([("vendor", "1")])


@pytest.mark.parametrize("exported", [True, False])
@pytest.mark.parametrize("flags", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_span_is_what_the_sdk_would_make_of_it(name: str, flags: int | None, *, remote: bool, exported: bool) -> None:
    environ = {"OTEL_TRACES_SAMPLER": name}
    chosen = sampler(environ) if exported else ALWAYS_OFF
    sdk = TracerProvider(sampler=chosen).get_tracer("test")
    parent = Context()
    if flags is not None:
        context = SpanContext(7, 8, is_remote=remote, trace_flags=TraceFlags(flags), trace_state=STATE)
        parent = trace.set_span_in_context(NonRecordingSpan(context), Context())

    kept: list[bytes] = []
    ours = EncodingTracer(chosen, kept.append if exported else None).start_span("ours", parent)
    theirs = sdk.start_span("theirs", parent)

    assert told(ours) == told(theirs)
    assert ours.get_span_context().is_valid
    assert ours.get_span_context().span_id != theirs.get_span_context().span_id


def test_a_current_span_is_the_one_that_was_started() -> None:
    tracer = EncodingTracer(ALWAYS_OFF, None)

    with tracer.start_as_current_span("work") as span:
        assert trace.get_current_span() is span

    assert trace.get_current_span() is not span


def told(span: trace.Span) -> tuple[object, ...]:
    """What does not depend on chance."""
    context = span.get_span_context()
    trace_id = context.trace_id if context.trace_id == 7 else None
    return (trace_id, context.trace_flags, context.is_remote, dict(context.trace_state), span.is_recording())


def test_a_span_ends_as_the_bytes_that_the_sdks_would_be() -> None:
    kept: list[bytes] = []
    ours: Span = EncodingTracer(ALWAYS_ON, kept.append).start_span("n", kind=SpanKind.SERVER, attributes={"a": 1})
    provider = TracerProvider()
    provider.add_span_processor(Encoding(kept))
    theirs = provider.get_tracer("test").start_span("n", kind=SpanKind.SERVER, attributes={"a": 1})
    link = SpanContext(7, 8, is_remote=True, trace_state=STATE)

    for span in (ours, theirs):
        span.set_attributes({"b": "x", "a": 2})
        span.set_attribute("c", value=True)
        span.add_event("e", {"d": 1.5}, 5)
        span.add_link(link)
        span.add_link(INVALID_SPAN_CONTEXT)
        span.update_name("m")
        span.set_status(StatusCode.ERROR, "why")
        span.set_status(StatusCode.UNSET)
        span.end(2**62)
        assert not span.is_recording()
    ours.end()

    first, second = map(read, kept)
    for one in (first, second):
        one.attributes.sort(key=lambda attribute: attribute.key)
        for fresh in ("trace_id", "span_id", "start_time_unix_nano"):
            one.ClearField(fresh)
    assert first == second


class Encoding(SpanProcessor):
    def __init__(self, kept: list[bytes]) -> None:
        self._kept = kept

    def on_end(self, span: ReadableSpan) -> None:
        self._kept.append(encode_span(span))


def read(encoded: bytes) -> Any:
    return WrittenSpan.FromString(encoded)


@pytest.mark.parametrize("limited", [True, False])
async def test_where_spans_are_limited_they_are_the_sdks(collector: Collector, *, limited: bool) -> None:
    limits = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "5"} if limited else {}

    async with open_telemetry(role="test", version="1", environ=collector.environ(**limits)) as telemetry:
        assert isinstance(telemetry.tracer, EncodingTracer) is not limited
