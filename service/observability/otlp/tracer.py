"""A tracer whose spans are encoded at their end, and nothing else.

A span of the SDK checks, copies and locks every attribute as it is set, and is copied once more at its end: four fifths
of what it costs. Our own attributes are of the right types, few, and set by one task.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)
from opentelemetry.util.types import AnyValue, Attributes

from service.observability.otlp.spans import encode_span

Keep = Callable[[bytes], None]

_UNSET = Status()
_FLAGS = {
    (sampled, random): TraceFlags(sampled * TraceFlags.SAMPLED | random * TraceFlags.RANDOM_TRACE_ID)
    for sampled in (False, True)
    for random in (False, True)
}


class EncodingTracer(Tracer):
    """Makes spans that the sampler decides on, as the SDK's tracer does, and gives `keep` the bytes of each that ends.

    Without `keep` no span is recorded; it has ids all the same, for lines and answers.
    """

    def __init__(self, sampler: Sampler, keep: Keep | None) -> None:
        self._sampler = sampler
        self._keep = keep
        self._new_ids = RandomIdGenerator()

    def start_span(  # noqa: PLR0917  # as the interface has it
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: ARG002, FBT001, FBT002  # as the interface has it
        set_status_on_exception: bool = True,  # noqa: ARG002, FBT001, FBT002  # as above
    ) -> Span:
        """A span as `Tracer.start_span` has it. An exception's text is never recorded."""
        parent: SpanContext | None = trace.get_current_span(context).get_span_context()
        if parent is not None and not parent.is_valid:
            parent = None
        trace_id = self._new_ids.generate_trace_id() if parent is None else parent.trace_id
        keep = self._keep
        if keep is not None:
            decision = self._sampler.should_sample(context, trace_id, name, kind).decision
            keep = keep if decision is Decision.RECORD_AND_SAMPLE else None
        own = SpanContext(
            trace_id,
            self._new_ids.generate_span_id(),
            is_remote=False,
            trace_flags=_FLAGS[keep is not None, parent is None or parent.trace_flags.random_trace_id],
            trace_state=None if parent is None else parent.trace_state,
        )
        if keep is None:
            return NonRecordingSpan(own)
        return EncodedSpan(keep, own, name=name, parent=parent, kind=kind, told=attributes, links=links, at=start_time)

    @contextmanager
    def start_as_current_span(self, name: str, *arguments: Any, **named: Any) -> Iterator[Span]:  # type: ignore[override]  # the type of the API is private
        """A span as `Tracer.start_as_current_span` has it."""
        with trace.use_span(self.start_span(name, *arguments, **named), end_on_exit=True) as span:
            yield span


class EncodedSpan(Span):
    """A span that is recorded; what is said of it after its end is ignored. Read by `encode_span`."""

    __slots__ = (
        "_keep",
        "attributes",
        "context",
        "end_time",
        "events",
        "kind",
        "links",
        "name",
        "parent",
        "start_time",
        "status",
    )
    dropped_attributes = dropped_events = dropped_links = 0

    def __init__(
        self,
        keep: Keep,
        context: SpanContext,
        *,
        name: str,
        parent: SpanContext | None,
        kind: SpanKind,
        told: Attributes,
        links: Sequence[Link] | None,
        at: int | None,
    ) -> None:
        """`at` is when it started, None for now."""
        self._keep = keep
        self.context = context
        self.name = name
        self.parent = parent
        self.kind = kind
        self.attributes: dict[str, AnyValue] = dict(told) if told else {}
        self.events: list[Event] = []
        self.links = list(links) if links else []
        self.status = _UNSET
        self.start_time = time.time_ns() if at is None else at
        self.end_time: int | None = None

    def get_span_context(self) -> SpanContext:
        """Its ids."""
        return self.context

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return self.end_time is None

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Set one attribute."""
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Set some attributes."""
        self.attributes.update(attributes)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event, now or at `timestamp`."""
        self.events.append(Event(name, attributes, timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link to another span."""
        if context.is_valid:
            self.links.append(Link(context, attributes))

    def update_name(self, name: str) -> None:
        """Change the name."""
        self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status. OK is final, and UNSET changes nothing."""
        said = status if isinstance(status, Status) else Status(status, description)
        if said.status_code is not StatusCode.UNSET and self.status.status_code is not StatusCode.OK:
            self.status = said

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: ARG002, FBT001, FBT002  # as the interface has it
    ) -> None:
        """Add an event with the exception's type; its text is nobody's."""
        self.add_event("exception", {"exception.type": type(exception).__qualname__, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span and give its bytes away, once."""
        if self.end_time is None:
            self.end_time = time.time_ns() if end_time is None else end_time
            self._keep(encode_span(self))
