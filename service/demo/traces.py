"""A stand-in for the collector: takes traces over OTLP/HTTP and gives back those of one message."""

import asyncio
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

MESSAGE = "relevo.message.id"
ATTEMPT = "process deliveries"


@dataclass(slots=True, kw_only=True)
class Span:
    """A finished span and those inside it, by their start. Times are in nanoseconds."""

    name: str
    kind: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start: int
    end: int
    attributes: dict[str, str]
    linked: bool
    children: list["Span"] = field(default_factory=list)

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.end - self.start) / 1e6


class TraceStub:
    """Keeps every span it is sent."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._changed = asyncio.Condition()

    def routes(self) -> list[web.RouteDef]:
        """Where an exporter sends traces."""
        return [web.post("/v1/traces", self._receive)]

    async def wait_for_attempts(self, message_id: str, count: int, *, within: float) -> None:
        """Until the spans of as many attempts are here, or the seconds are over."""
        try:
            async with asyncio.timeout(within), self._changed:
                await self._changed.wait_for(lambda: self._attempts(message_id) >= count)
        except TimeoutError:
            return

    def roots(self, message_id: str) -> list[Span]:
        """The traces in which the message occurs, oldest first, each as a tree."""
        traces = {span.trace_id for span in self._spans if span.attributes.get(MESSAGE) == message_id}
        return _trees([span for span in self._spans if span.trace_id in traces])

    def _attempts(self, message_id: str) -> int:
        return sum(span.name == ATTEMPT and span.attributes.get(MESSAGE) == message_id for span in self._spans)

    async def _receive(self, request: web.Request) -> web.Response:
        export = ExportTraceServiceRequest.FromString(await request.read())
        for resource in export.resource_spans:
            for scope in resource.scope_spans:
                self._spans.extend(map(_span, scope.spans))
        async with self._changed:
            self._changed.notify_all()
        return web.Response(content_type="application/x-protobuf")


def _span(sent: trace_pb2.Span) -> Span:
    return Span(
        name=sent.name,
        kind=trace_pb2.Span.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_"),
        trace_id=sent.trace_id,
        span_id=sent.span_id,
        parent_id=sent.parent_span_id,
        start=sent.start_time_unix_nano,
        end=sent.end_time_unix_nano,
        attributes={item.key: _text(item.value) for item in sent.attributes},
        linked=bool(sent.links),
    )


def _text(value: object) -> str:
    kind = value.WhichOneof("value") if hasattr(value, "WhichOneof") else None
    return str(getattr(value, kind)) if kind else ""


def _trees(spans: list[Span]) -> list[Span]:
    spans = sorted(spans, key=lambda span: span.start)
    by_id = {span.span_id: span for span in spans}
    roots: list[Span] = []
    for span in spans:
        parent = by_id.get(span.parent_id)
        (parent.children if parent else roots).append(span)
    return roots
