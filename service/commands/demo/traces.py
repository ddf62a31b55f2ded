"""A stub of the collector: receives traces over OTLP/HTTP and returns those of one message."""

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from service.commands.demo.witness import ATTEMPT, BATCH, Check, Play, Span, attempts_in, trees


class TraceStub:
    """Fulfils `Witness`. Keeps every span in memory."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._changed = asyncio.Condition()

    def routes(self) -> list[web.RouteDef]:
        """Where an exporter sends traces."""
        return [web.post("/v1/traces", self._receive)]

    def environ(self, url: str) -> Mapping[str, str]:
        """The `OTEL_*` variables that export traces to `url` and no other signal."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }

    async def traces_of(self, message_id: str, *, attempts: int, within: float) -> list[Span]:
        """See `Witness`."""
        return await self._traces_with(ATTEMPT, message_id, count=attempts, within=within)

    async def batches_of(self, message_id: str, *, batches: int, within: float) -> list[Span]:
        """The same for a message that goes to so many ordered destinations."""
        return await self._traces_with(BATCH, message_id, count=batches, within=within)

    def keep(self, span: Span) -> None:
        """Add a span of somebody else's, who does not export it."""
        self._spans.append(span)

    async def testify(self, play: Play) -> Sequence[Check]:  # noqa: ARG002  # the protocol `Witness` has it
        """No checks: the stub receives traces only."""
        return []

    async def _traces_with(self, name: str, message_id: str, *, count: int, within: float) -> list[Span]:
        try:
            async with asyncio.timeout(within), self._changed:
                await self._changed.wait_for(lambda: attempts_in(self._spans, message_id, name=name) >= count)
        except TimeoutError:
            pass  # what has arrived is shown
        return trees(self._spans, message_id)

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
        trace_id=sent.trace_id.hex(),
        span_id=sent.span_id.hex(),
        parent_id=sent.parent_span_id.hex(),
        start=sent.start_time_unix_nano,
        end=sent.end_time_unix_nano,
        attributes={item.key: _text(item.value) for item in sent.attributes},
        linked=bool(sent.links),
    )


def _text(value: object) -> str:
    kind = value.WhichOneof("value") if hasattr(value, "WhichOneof") else None
    return str(getattr(value, kind)) if kind else ""
