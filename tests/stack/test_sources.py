"""A message's story as its producer finds it: one trace from the span that published it to a broker, on to the
receiver's answer."""

import asyncio
import json
from pathlib import Path

import httpx
import nats
from nats.js.api import StreamConfig
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind
from svix.api import ApplicationIn, EndpointIn, Svix, SvixOptions

from deploy.brokers import kinds
from deploy.brokers.processes import Broker
from deploy.stack.processes import Ports, Stack, running_jaeger
from tests.stack.jaeger import Span, shape, traces_of
from tests.stack.relevo import Relevo, eventually, running_relevo, telemetry_to

# Jaeger takes nothing else.
TRACES_ALONE = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
SUBJECT = "shop.events"
FROM_THE_PRODUCER_ON = """\
PRODUCER publish shop.events
  CONSUMER process nats
    PRODUCER send messages
      CONSUMER process deliveries
        CLIENT POST"""


def test_one_trace_leads_from_the_producer_over_the_broker_to_the_receiver(
    receiver: str, broker: Broker, tmp_path: Path
) -> None:
    ports = Ports.free()
    otlp = f"http://127.0.0.1:{ports.jaeger_otlp}"
    with (
        running_jaeger(tmp_path, ports) as stack,
        running_relevo(tmp_path, **telemetry_to(otlp) | TRACES_ALONE) as relevo,
    ):
        asyncio.run(_publish(otlp, broker))
        _subscribe(relevo, f"{receiver}/ok/from-a-broker")
        source = _read(relevo, broker)
        spans = eventually(lambda: _whole(stack, source), else_tell=lambda: _found(stack, source))

    assert shape(spans) == FROM_THE_PRODUCER_ON
    (call,) = _calls(receiver, "/ok/from-a-broker")
    assert dict(call)["traceparent"].split("-")[1] == spans[0].trace


async def _publish(otlp: str, broker: Broker) -> None:
    """One message, as a service that is traced would publish it."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(otlp, insecure=True)))
    client = await nats.connect(f"nats://127.0.0.1:{broker.port}", user=kinds.USER, password=kinds.PASSWORD)
    stream = client.jetstream()
    await stream.add_stream(StreamConfig(name="SHOP", subjects=[SUBJECT]))
    with provider.get_tracer(__name__).start_as_current_span(f"publish {SUBJECT}", kind=SpanKind.PRODUCER):
        headers = {"relevo-application": "shop", "relevo-event-type": "order.paid"}
        inject(headers)
        await stream.publish(SUBJECT, b'{"order": 1}', headers=headers)
    await client.close()
    provider.shutdown()


def _subscribe(relevo: Relevo, url: str) -> None:
    client = Svix(relevo.token, SvixOptions(server_url=relevo.url))
    with client._httpx_client:
        app = client.application.create(ApplicationIn(name="The shop", uid="shop"))
        client.endpoint.create(app.id, EndpointIn(url=url, metadata={"relevo.traceparent": "true"}))


def _read(relevo: Relevo, broker: Broker) -> str:
    """Create the source; its id."""
    origin = {
        "servers": [f"nats://127.0.0.1:{broker.port}"],
        "stream": "SHOP",
        "username": kinds.USER,
        "password": kinds.PASSWORD,
    }
    made = httpx.post(
        f"{relevo.url}/api/v1/source",
        json={"name": "The shop's events", "nats": origin},
        headers={"authorization": f"Bearer {relevo.token}"},
        trust_env=False,
    )
    return str(made.raise_for_status().json()["id"])


def _whole(stack: Stack, source: str) -> list[Span]:
    """The trace that the source began or went on with, once all of its spans have come."""
    found = _found(stack, source)
    return found[0] if found and len(found[0]) >= len(FROM_THE_PRODUCER_ON.splitlines()) else []


def _found(stack: Stack, source: str) -> list[list[Span]]:
    return traces_of(stack.jaeger, relevo_source_id=source)


def _calls(receiver: str, path: str) -> list[list[tuple[str, str]]]:
    """The headers of each call that came to that path."""
    told = httpx.get(f"{receiver}/calls", trust_env=False).text.splitlines()
    calls = [json.loads(line) for line in told]
    return [[(name.lower(), value) for name, value in call["headers"]] for call in calls if call["path"] == path]
