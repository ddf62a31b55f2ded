"""What is told of messages that come from brokers: one trace from the producer on, points and one line a batch."""

from collections import Counter
from typing import Any

import pytest

from service.domain.broker_messages import BrokerMessage
from service.domain.ids import ApplicationId
from service.domain.messages import Accepted
from service.domain.sources import SourceKind
from service.observability.deliveries import DeliveryTelemetry
from service.observability.sources import SourceTelemetry
from service.observability.telemetry import Telemetry, open_telemetry
from tests.domain.test_sources import a_source
from tests.observability.conftest import Lines
from tests.support.factories import new_message
from tests.support.otlp import Collector

PRODUCER = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SOURCE = a_source(SourceKind.KAFKA, place={"topic": "events"})


def a_message(**headers: str) -> BrokerMessage:
    return BrokerMessage(body=b"marker", headers=headers, position="events-0-7", event_id=None, receipt=None)


def accepted(telemetry: Telemetry, message: BrokerMessage) -> str | None:
    """Receive and accept it; the trace context that is stored with it."""
    with SourceTelemetry(telemetry).receiving(SOURCE, message) as told:
        with DeliveryTelemetry(telemetry).accepting(new_message("app_1")) as accept:
            accept.committed(Accepted(app_id=ApplicationId("app_1"), deliveries=1))
        told.decided("accepted")
    return accept.message.traceparent


async def test_the_accept_is_below_the_reception_and_that_in_the_producers_trace(
    collector: Collector, telemetry: Telemetry
) -> None:
    stored = accepted(telemetry, a_message(traceparent=f"00-{PRODUCER}-{PARENT}-01"))
    collector.wait_for(lambda seen: len(seen.spans) == 2)

    received, accept = collector.span("process kafka"), collector.span("send messages")
    assert (received.trace_id, received.parent_id, received.kind) == (PRODUCER, PARENT, "CONSUMER")
    assert (accept.trace_id, accept.parent_id) == (PRODUCER, received.span_id)
    assert stored == f"00-{PRODUCER}-{accept.span_id}-01"


async def test_without_a_producers_trace_the_reception_begins_one(collector: Collector, telemetry: Telemetry) -> None:
    accepted(telemetry, a_message())
    collector.wait_for(lambda seen: len(seen.spans) == 2)

    received, accept = collector.span("process kafka"), collector.span("send messages")
    assert received.parent_id is None
    assert (accept.trace_id, accept.parent_id) == (received.trace_id, received.span_id)


async def test_where_no_span_is_exported_the_producers_trace_goes_on_all_the_same() -> None:
    async with open_telemetry(role="test", version="0", environ={}) as telemetry:
        stored = accepted(telemetry, a_message(traceparent=f"00-{PRODUCER}-{PARENT}-01"))

    assert stored is not None
    assert stored.startswith(f"00-{PRODUCER}-")


async def test_a_span_has_the_place_of_the_message_and_what_became_of_it_but_nothing_that_it_says(
    collector: Collector, telemetry: Telemetry
) -> None:
    with SourceTelemetry(telemetry).receiving(SOURCE, a_message(marker="marker")) as told:
        told.decided("refused", error="value_error")
    collector.wait_for(lambda seen: len(seen.spans) == 1)

    assert collector.span("process kafka").attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "events",
        "messaging.message.id": "events-0-7",
        "relevo.source.id": SOURCE.id,
        "relevo.org.id": SOURCE.org_id,
        "relevo.outcome": "refused",
        "error.type": "value_error",
    }
    assert b"marker" not in collector.everything


@pytest.mark.parametrize(
    ("outcomes", "level"), [({"accepted": 3, "repeated": 1}, "info"), ({"accepted": 3, "refused": 1}, "warning")]
)
async def test_a_batch_is_counted_by_outcome_and_told_in_one_line(
    collector: Collector, telemetry: Telemetry, lines: Lines, outcomes: dict[Any, int], level: str
) -> None:
    SourceTelemetry(telemetry).received(SOURCE, Counter(outcomes))
    collector.wait_for(lambda seen: len(points_of(seen, "relevo.source.message")) == len(outcomes))

    line = lines.one("source.received")
    counted = {labels["outcome"]: value for labels, value in points_of(collector, "relevo.source.message")}
    assert {name: line[name] for name in outcomes} == outcomes == counted
    assert (line["kind"], line["level"]) == ("kafka", level)


async def test_the_lag_of_a_kind_is_that_of_the_source_that_lags_most(
    collector: Collector, telemetry: Telemetry
) -> None:
    told = SourceTelemetry(telemetry)
    told.lags(SOURCE, 3)
    told.lags(a_source(SourceKind.KAFKA, id="src_2"), 7)
    told.lags(a_source(SourceKind.NATS, id="src_3"), 9)
    told.lags(a_source(SourceKind.NATS, id="src_3"), None)
    collector.wait_for(lambda seen: len(points_of(seen, "relevo.source.lag")) == 2)

    assert {labels["kind"]: value for labels, value in points_of(collector, "relevo.source.lag")} == {
        "kafka": 7,
        "nats": 0,
    }


def points_of(collector: Collector, metric: str) -> list[tuple[dict[str, Any], float]]:
    """The labels and values of the metric's latest points."""
    latest = {point.labels: point.value for point in collector.points if point.metric == metric}
    return [(dict(labels), value) for labels, value in latest.items()]
