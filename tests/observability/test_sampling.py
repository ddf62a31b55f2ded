"""A span that nobody will keep has the ids and flags that the SDK would have given it."""

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from service.observability.sampling import frugal, sampler

SAMPLERS = ["parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio", "always_on", "always_off"]
STATE = TraceState([("vendor", "1")])


@pytest.mark.parametrize("exported", [True, False])
@pytest.mark.parametrize("flags", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_span_is_what_the_sdk_would_make_of_it(name: str, flags: int | None, *, remote: bool, exported: bool) -> None:
    environ = {"OTEL_TRACES_SAMPLER": name}
    sdk = TracerProvider(sampler=sampler(environ) if exported else ALWAYS_OFF).get_tracer("test")
    parent = Context()
    if flags is not None:
        context = SpanContext(7, 8, is_remote=remote, trace_flags=TraceFlags(flags), trace_state=STATE)
        parent = trace.set_span_in_context(NonRecordingSpan(context), Context())

    ours = frugal(sdk, environ, exported=exported).start_span("ours", parent)
    theirs = sdk.start_span("theirs", parent)

    assert told(ours) == told(theirs)
    assert ours.get_span_context().is_valid
    assert ours.get_span_context().span_id != theirs.get_span_context().span_id


def test_a_current_span_is_the_one_that_was_started() -> None:
    tracer = frugal(TracerProvider().get_tracer("test"), {}, exported=False)

    with tracer.start_as_current_span("work") as span:
        assert trace.get_current_span() is span

    assert trace.get_current_span() is not span


def told(span: trace.Span) -> tuple[object, ...]:
    """What does not depend on chance."""
    context = span.get_span_context()
    trace_id = context.trace_id if context.trace_id == 7 else None
    return (trace_id, context.trace_flags, context.is_remote, dict(context.trace_state), span.is_recording())
