"""Which traces are kept: as `OTEL_TRACES_SAMPLER` says, but a caller's "not sampled" does not switch our tracing
off. What is not kept has ids all the same, for lines and answers, and is made without the SDK."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags, Tracer

_UNSAMPLED, _RANDOM = TraceFlags(TraceFlags.DEFAULT), TraceFlags(TraceFlags.RANDOM_TRACE_ID)


def sampler(environ: Mapping[str, str]) -> Sampler:
    """The sampler. It follows a remote parent that is sampled, and asks the root sampler about one that is not.

    The ratio depends on the trace id alone, so an accept and its first attempt are sampled alike.
    """
    name = environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").strip().lower()
    root = _root(name.removeprefix("parentbased_"), environ.get("OTEL_TRACES_SAMPLER_ARG", "1"))
    return ParentBased(root, remote_parent_not_sampled=root) if name.startswith("parentbased_") else root


def _root(name: str, argument: str) -> Sampler:
    match name:
        case "always_on":
            return ALWAYS_ON
        case "always_off":
            return ALWAYS_OFF
        case "traceidratio":
            return TraceIdRatioBased(float(argument))
        case _:
            raise ValueError(f"OTEL_TRACES_SAMPLER {name!r} is unknown; try parentbased_traceidratio.")


class FrugalTracer(Tracer):
    """Makes a span that nobody will keep without asking the SDK, whose way to the same ids costs four times as much.

    With `keeps_none` that is every span; else those whose parent is a span of this process that is not sampled, if the
    sampler follows the parent.
    """

    def __init__(self, tracer: Tracer, *, keeps_none: bool, follows_parent: bool) -> None:
        self._tracer = tracer
        self._keeps_none = keeps_none
        self._follows_parent = follows_parent
        self._new_ids = RandomIdGenerator()

    def start_span(self, name: str, context: Context | None = None, *arguments: Any, **named: Any) -> Span:
        """A span as `Tracer.start_span` has it."""
        parent = trace.get_current_span(context).get_span_context()
        if self._keeps_none or (
            self._follows_parent and parent.is_valid and not parent.is_remote and not parent.trace_flags.sampled
        ):
            return NonRecordingSpan(self._below(parent))
        return self._tracer.start_span(name, context, *arguments, **named)

    @contextmanager
    def start_as_current_span(self, name: str, *arguments: Any, **named: Any) -> Iterator[Span]:  # type: ignore[override]  # the type of the API is private
        """A span as `Tracer.start_as_current_span` has it."""
        with trace.use_span(self.start_span(name, *arguments, **named), end_on_exit=True) as span:
            yield span

    def _below(self, parent: SpanContext) -> SpanContext:
        is_random = parent.trace_flags.random_trace_id if parent.is_valid else True
        return SpanContext(
            parent.trace_id if parent.is_valid else self._new_ids.generate_trace_id(),
            self._new_ids.generate_span_id(),
            is_remote=False,
            trace_flags=_RANDOM if is_random else _UNSAMPLED,
            trace_state=parent.trace_state,
        )


def frugal(tracer: Tracer, environ: Mapping[str, str], *, exported: bool) -> Tracer:
    """The tracer for our own spans, `exported` or not."""
    name = environ.get("OTEL_TRACES_SAMPLER", "parentbased_").strip().lower()
    return FrugalTracer(tracer, keeps_none=not exported, follows_parent=name.startswith("parentbased_"))
