"""Jaeger by itself: its pages, and what it has after a restart."""

import re
from pathlib import Path

import httpx
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from deploy.stack.processes import Ports, Stack, running_jaeger
from tests.stack.jaeger import SERVICE, found_by
from tests.stack.relevo import eventually

_PART = r'<(?:script type="module"|link rel="stylesheet")[^>]* (?:src|href)="\./(static/[^"]+)"'


def test_traces_outlive_a_restart(tmp_path: Path) -> None:
    ports = Ports.free()
    with running_jaeger(tmp_path, ports) as jaeger:
        _send_a_span(ports, tag="before")
        (before,) = eventually(lambda: _found(jaeger, "before"))

    with running_jaeger(tmp_path, ports) as jaeger:
        (after,) = eventually(lambda: _found(jaeger, "before"))
        _send_a_span(ports, tag="after")
        eventually(lambda: _found(jaeger, "after"))

    assert after == before


def test_jaeger_has_its_pages(stack: Stack) -> None:
    page = httpx.get(f"{stack.jaeger}/search", trust_env=False).text
    # The page also names scripts for browsers that know no modules; those are not there.
    parts = re.findall(r'<(?:script type="module"|link rel="stylesheet")[^>]* (?:src|href)="\./(static/[^"]+)"', page)
    answers = [httpx.get(f"{stack.jaeger}/{part}", trust_env=False) for part in parts]

    assert {part.rpartition(".")[2] for part in parts} == {"js", "css"}
    assert all(answer.is_success and len(answer.text) > 10_000 for answer in answers)


def _send_a_span(ports: Ports, *, tag: str) -> None:
    provider = TracerProvider(resource=Resource({"service.name": SERVICE}))
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{ports.jaeger_otlp}", insecure=True)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer(__name__).start_as_current_span("one", attributes={"tag": tag}):
        pass
    provider.shutdown()


def _found(jaeger: Stack, tag: str) -> list[list[str]]:
    return [[span["spanID"] for span in trace["spans"]] for trace in found_by(jaeger.jaeger, {"tag": tag})]
