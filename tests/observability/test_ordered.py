"""What is told of a batch to an ordered destination: one span, one line, one point, and the traces of its messages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.batches import BatchResult, StreamMessage
from service.domain.endpoints import TRACE_METADATA_KEY
from service.domain.ids import ApplicationId, DestinationId, MessageId, OrgId
from service.domain.ordered import OrderedDestination, Setback, Standing
from service.domain.outcomes import Outcome
from service.domain.sinks import FifoSink
from service.observability.ordered import BatchTelemetry
from service.observability.telemetry import Telemetry, open_telemetry
from tests.observability.conftest import Lines
from tests.support import outcomes
from tests.support.otlp import Collector

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACES = ["0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"]
TOOK = timedelta(milliseconds=120)


def a_destination(**changed: Any) -> OrderedDestination:
    values: dict[str, Any] = {
        "id": DestinationId("dest_1"),
        "app_id": ApplicationId("app_1"),
        "org_id": OrgId("org_1"),
        "sink": FifoSink(url="https://hooks.example.com/marker", headers={"x-marker": "marker"}),
        "created_at": NOW,
        "updated_at": NOW,
        "due_at": NOW,
        "position": 0,
    }
    return OrderedDestination(**(values | changed))


def a_message(nth: int, *, age: timedelta = timedelta(seconds=1)) -> StreamMessage:
    return StreamMessage(
        position=nth + 1,
        id=MessageId(f"msg_{nth}"),
        event_type="t",
        payload=b'{"marker": 1}',
        created_at=NOW - age,
        traceparent=f"00-{TRACES[nth]}-b7ad6b7169203331-01",
        correlation_id=f"order-{nth}",
    )


def setback(*, disabled: bool) -> Setback:
    standing = Standing(attempts=3, first_failed_at=NOW)
    return Setback(standing=standing, delay=timedelta(minutes=5), reason="", disabled=disabled)


def send(
    telemetry: Telemetry,
    messages: list[StreamMessage],
    outcome: Outcome,
    *,
    taken: int,
    setback: Setback | None = None,
    **changed: Any,
) -> dict[str, str]:
    with BatchTelemetry(telemetry).sending(a_destination(**changed), messages, at=NOW) as told:
        given = told.context_for_receiver()
        told.sent(BatchResult(taken=taken, outcome=outcome), setback)
    return given


async def test_a_batch_is_linked_to_the_trace_of_each_message(collector: Collector, telemetry: Telemetry) -> None:
    send(telemetry, [a_message(0), a_message(1)], outcomes.answered(200, duration=TOOK), taken=2)

    collector.wait_for(lambda seen: len(seen.spans) == 1)
    span = collector.span("send batch")
    assert (span.kind, span.parent_id) == ("PRODUCER", None)
    assert [trace_id for trace_id, _ in span.links] == TRACES
    assert span.attributes["messaging.batch.message_count"] == 2
    assert (span.attributes["relevo.destination.id"], span.attributes["relevo.position"]) == ("dest_1", 2)
    assert (span.attributes["relevo.verdict"], span.attributes["http.response.status_code"]) == ("sent", 200)


@pytest.mark.parametrize(("age", "continues"), [(timedelta(seconds=1), True), (timedelta(seconds=10), False)])
async def test_a_young_message_that_is_alone_is_sent_in_its_own_trace(
    collector: Collector, telemetry: Telemetry, age: timedelta, *, continues: bool
) -> None:
    send(telemetry, [a_message(0, age=age)], outcomes.answered(200, duration=TOOK), taken=1)

    collector.wait_for(lambda seen: len(seen.spans) == 1)
    span = collector.span("send batch")
    assert (span.trace_id == TRACES[0]) is continues
    assert [trace_id for trace_id, _ in span.links] == ([] if continues else [TRACES[0]])


async def test_a_receiver_gets_the_batchs_trace_if_its_destination_asks_for_it(
    collector: Collector, telemetry: Telemetry
) -> None:
    told = [
        send(telemetry, [a_message(0)], outcomes.answered(200, duration=TOOK), taken=1, metadata=metadata)
        for metadata in ({}, {TRACE_METADATA_KEY: "true"})
    ]

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    assert told[0] == {}
    assert told[1]["traceparent"].split("-")[1] == TRACES[0]


@pytest.mark.parametrize(
    ("status", "taken", "was", "outcome", "level"),
    [
        pytest.param(200, 2, None, "sent", "info", id="taken"),
        pytest.param(500, 1, setback(disabled=False), "retrying", "info", id="a half of it"),
        pytest.param(410, 0, setback(disabled=True), "disabled", "warning", id="gone"),
    ],
)
async def test_a_batch_is_one_line_and_one_point(
    telemetry: Telemetry, lines: Lines, status: int, *, taken: int, was: Setback | None, outcome: str, level: str
) -> None:
    send(telemetry, [a_message(0), a_message(1)], outcomes.answered(status, duration=TOOK), taken=taken, setback=was)

    line = lines.one("batch.sent")
    assert (line["outcome"], line["level"], line["messages"], line["taken"]) == (outcome, level, 2, taken)
    assert (line["destination_id"], line["app_id"], line["org_id"]) == ("dest_1", "app_1", "org_1")
    assert (line["correlation_id"], line["duration_ms"], line["late_ms"]) == ("order-0", 120, 1000)
    assert line.get("next_in_s") == (300 if outcome == "retrying" else None)
    labels = {"kind": "fifoEndpoint", "outcome": outcome}
    assert telemetry.registry.get_sample_value("relevo_destination_batch_duration_seconds_count", labels) == 1
    sent = {"kind": "fifoEndpoint", "outcome": "sent"}
    assert telemetry.registry.get_sample_value("relevo_destination_messages_total", sent) == (taken or None)
    disabled = telemetry.registry.get_sample_value("relevo_destination_disabled_total", {"kind": "fifoEndpoint"})
    assert disabled == (1 if outcome == "disabled" else None)


async def test_expired_messages_are_a_line_and_a_point(telemetry: Telemetry, lines: Lines) -> None:
    BatchTelemetry(telemetry).expired(a_destination(), 3)

    assert (lines.one("batch.expired")["messages"], lines.one("batch.expired")["destination_id"]) == (3, "dest_1")
    expired = {"kind": "fifoEndpoint", "outcome": "expired"}
    assert telemetry.registry.get_sample_value("relevo_destination_messages_total", expired) == 3


async def test_nothing_that_is_told_has_an_url_a_header_or_a_payload(
    collector: Collector, telemetry: Telemetry, lines: Lines
) -> None:
    answer = outcomes.answered(500, text="marker", duration=TOOK)
    send(telemetry, [a_message(0)], answer, taken=0, setback=setback(disabled=False))

    collector.wait_for(lambda seen: len(seen.spans) == 1)
    assert "marker" not in str(collector.span("send batch").attributes)
    assert "marker" not in lines.getvalue()


async def test_an_error_of_ours_ends_the_span_with_its_class(collector: Collector, telemetry: Telemetry) -> None:
    with pytest.raises(ZeroDivisionError), BatchTelemetry(telemetry).sending(a_destination(), [a_message(0)], at=NOW):
        raise ZeroDivisionError

    collector.wait_for(lambda seen: len(seen.spans) == 1)
    assert collector.span("send batch").attributes["error.type"] == "ZeroDivisionError"


async def test_where_nothing_is_exported_a_batch_has_a_span_that_nobody_sees() -> None:
    async with open_telemetry(role="test", version="0", environ={}) as silent:
        given = send(
            silent,
            [a_message(0)],
            outcomes.answered(200, duration=TOOK),
            taken=1,
            metadata={TRACE_METADATA_KEY: "true"},
        )

    assert given == {}
