"""Three signals to one collector, whatever the collector does."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from service.observability.logging import configure_logging
from service.observability.telemetry import open_telemetry
from tests.observability.conftest import Lines
from tests.support.otlp import Collector, Manner, running_collector
from tests.support.patience import patient, unhurried

REMOTE_UNSAMPLED = SpanContext(trace_id=7, span_id=8, is_remote=True, trace_flags=TraceFlags(0))


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_all_three_signals_arrive_with_one_resource(collector: Collector, protocol: str) -> None:
    environ = collector.environ(
        protocol, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=staging", K8S_POD_NAME="relevo-1"
    )

    async with open_telemetry(role="serve", version="1.2.3", environ=environ) as telemetry:
        configure_logging(logger_provider=telemetry.logger_provider, stream=Lines())
        with telemetry.tracer.start_as_current_span("work"):
            logging.getLogger("a.library").warning("hello")
        telemetry.metrics.delivery_exhausted("attempts_used_up")

    span, (record,) = collector.span("work"), [log for log in collector.logs if log.body == "hello"]
    (point,) = [point for point in collector.points if point.metric == "relevo.delivery.exhausted"]
    assert span.resource == record.resource == point.resource
    expected = {
        "service.name": "relevo",
        "service.namespace": "relevo",
        "service.version": "1.2.3",
        "deployment.environment.name": "staging",
        "k8s.pod.name": "relevo-1",
    }
    assert expected.items() <= span.resource.items()
    assert span.resource["service.instance.id"]


@pytest.mark.parametrize("signal", ["TRACES", "METRICS", "LOGS"])
async def test_each_signal_can_be_on_without_the_others(collector: Collector, signal: str) -> None:
    endpoint = f"{collector.http_endpoint}/v1/{signal.lower()}"

    environ = {f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": endpoint}
    async with open_telemetry(role="serve", version="1", environ=environ) as telemetry:
        configure_logging(logger_provider=telemetry.logger_provider, stream=Lines())
        with telemetry.tracer.start_as_current_span("work"):
            logging.getLogger("a.library").warning("hello")
        telemetry.metrics.delivery_exhausted("attempts_used_up")

    arrived = {"TRACES": collector.spans, "METRICS": collector.points, "LOGS": collector.logs}
    assert [name for name, items in arrived.items() if items] == [signal]


@pytest.mark.parametrize("environ", [{}, {"OTEL_SDK_DISABLED": "true"}])
async def test_nothing_is_exported_or_recorded_unless_an_endpoint_is_set(
    collector: Collector, environ: dict[str, str]
) -> None:
    if environ:
        environ = collector.environ() | environ

    async with open_telemetry(role="serve", version="1", environ=environ) as telemetry:
        span = telemetry.tracer.start_span("work")
        telemetry.metrics.delivery_exhausted("attempts_used_up")

    assert not span.is_recording()
    assert collector.everything == b""


@pytest.mark.parametrize(
    ("sampler", "argument", "recorded"),
    [
        ("parentbased_always_on", "", True),
        ("always_off", "", False),
        ("parentbased_traceidratio", "1.0", True),
        ("traceidratio", "0.0", False),
    ],
)
async def test_the_sampler_is_the_standard_one_but_a_strangers_unsampled_flag_does_not_count(
    collector: Collector, sampler: str, argument: str, *, recorded: bool
) -> None:
    environ = collector.environ(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)

    async with open_telemetry(role="serve", version="1", environ=environ) as telemetry:
        parent = set_span_in_context(NonRecordingSpan(REMOTE_UNSAMPLED))
        span = telemetry.tracer.start_span("work", context=parent)
        span.end()

    assert [one.trace_id for one in collector.spans] == [f"{7:032x}"] * recorded


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(("manner", "delay"), [("hang", 0), ("refuse", 0), ("answer", 5)])
async def test_a_sick_collector_delays_closing_by_no_more_than_the_budget(
    manner: Manner, delay: float, protocol: str
) -> None:
    with running_collector(manner, delay=delay) as collector:
        async with open_telemetry(
            role="serve", version="1", environ=collector.environ(protocol), closing_budget=0.3
        ) as telemetry:
            telemetry.tracer.start_span("work").end()
            began = time.monotonic()

        assert time.monotonic() - began < unhurried(1)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_process_ends_within_the_budget_though_the_collector_hangs(protocol: str) -> None:
    program = """
import asyncio, os, time
from service.observability.telemetry import open_telemetry
async def main():
    async with open_telemetry(role="serve", version="1", environ=os.environ, closing_budget=0.5) as telemetry:
        telemetry.tracer.start_span("work").end()
        await asyncio.sleep(0.2)
asyncio.run(main())
print(time.monotonic())
"""
    with running_collector("hang") as collector:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | collector.environ(protocol),
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
            timeout=patient(30),
        )

        assert time.monotonic() - float(ended.stdout) < unhurried(2)


async def test_what_is_dropped_is_counted_and_what_exporters_complain_of_is_not_exported() -> None:
    with running_collector("refuse") as collector:
        lines = Lines()
        environ = collector.environ(
            OTEL_BSP_MAX_QUEUE_SIZE="512", OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="", OTEL_METRICS_EXPORTER="none"
        )
        async with open_telemetry(role="serve", version="1", environ=environ, closing_budget=0.5) as telemetry:
            configure_logging(logger_provider=telemetry.logger_provider, stream=lines)
            for _ in range(3000):
                telemetry.tracer.start_span("work").end()

            dropped = [
                sample.value
                for family in telemetry.registry.collect()
                for sample in family.samples
                if sample.name == "otel_sdk_processor_span_processed_total"
                and sample.labels["error_type"] == "queue_full"
            ]
            logging.getLogger("opentelemetry.exporter").error("cannot export")
            collector.manner = "answer"
            logging.getLogger("a.library").error("export this")

    assert sum(dropped) >= 1000
    assert lines.of("cannot export")
    assert "cannot export" not in json.dumps([record.body for record in collector.logs])
