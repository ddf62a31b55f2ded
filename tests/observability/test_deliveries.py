"""The story of a message, as spans, points and lines tell it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from service.domain.deliveries import Claim, Trigger
from service.domain.destinations import HttpDestination
from service.domain.errors import Busy, Unavailable
from service.domain.ids import ApplicationId, EndpointId, MessageId, OrgId
from service.domain.messages import Accepted
from service.domain.outcomes import ErrorType, Outcome
from service.domain.retries import Delivered, Exhausted, TryAgain, Verdict
from service.observability.correlation import traceparent
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import Telemetry, open_telemetry
from tests.observability.conftest import Lines
from tests.support import outcomes
from tests.support.factories import a_claim, new_message
from tests.support.otlp import Collector

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCEPT = "0af7651916cd43dd8448eb211c80319c"
URL = "https://hooks.example.com:8443/marker?token=marker"


def claim(**changed: Any) -> Claim:
    values: dict[str, Any] = {
        "message_id": MessageId("msg_1"),
        "endpoint_id": EndpointId("ep_1"),
        "app_id": ApplicationId("app_1"),
        "org_id": OrgId("org_1"),
        "attempt": 1,
        "trigger": Trigger.SCHEDULED,
        "due_at": NOW,
        "accepted_at": NOW,
        "event_type": "invoice.paid",
        "payload": b'{"marker": 1}',
        "url": URL,
        "headers": {"x-marker": "marker"},
        "correlation_id": "order-17",
        "traceparent": f"00-{ACCEPT}-b7ad6b7169203331-01",
    }
    return a_claim(**(values | changed))


def answered(status: int) -> Outcome:
    return outcomes.answered(status, text="marker", duration=timedelta(milliseconds=120))


def failed(error_type: ErrorType) -> Outcome:
    return outcomes.failed(error_type, text="marker", duration=timedelta(milliseconds=120))


def attempt(
    telemetry: Telemetry, claimed: Claim, outcome: Outcome, verdict: Verdict, *, late: timedelta = timedelta(seconds=1)
) -> str | None:
    with DeliveryTelemetry(telemetry).attempting(claimed, at=NOW + late) as told:
        with told.calling(HttpDestination(url="https://hooks.example.com:8443/marker")):
            pass
        told.attempted(outcome, verdict=verdict, number=claimed.attempt, now=NOW + late + outcome.exchange.duration)
    return told.trace_id


async def test_a_prompt_first_attempt_is_inside_the_accepts_trace(collector: Collector, telemetry: Telemetry) -> None:
    told = DeliveryTelemetry(telemetry)

    with told.accepting(new_message("app_1")) as accept:
        accept.committed(Accepted(app_id=ApplicationId("app_1"), deliveries=1))
    attempt(telemetry, claim(traceparent=accept.message.traceparent), answered(200), Delivered())

    collector.wait_for(lambda seen: len(seen.spans) == 3)
    send, process, call = (collector.span(name) for name in ("send messages", "process deliveries", "POST"))
    assert (send.kind, process.kind, call.kind) == ("PRODUCER", "CONSUMER", "CLIENT")
    assert process.parent_id == send.span_id
    assert call.parent_id == process.span_id
    assert len({send.trace_id, process.trace_id, call.trace_id}) == 1


async def test_spans_can_be_found_by_the_name_that_an_organisation_gave_its_application(
    collector: Collector, telemetry: Telemetry
) -> None:
    told = DeliveryTelemetry(telemetry)

    with telemetry.tracer.start_as_current_span("request"), told.accepting(new_message("customer-42")) as accept:
        accept.committed(Accepted(app_id=ApplicationId("app_1"), app_uid="customer-42", deliveries=1))
    attempt(telemetry, claim(app_uid="customer-42", attempt=2), answered(200), Delivered())

    collector.wait_for(lambda seen: len(seen.spans) == 4)
    named = {span.name for span in collector.spans if span.attributes.get("relevo.app.uid") == "customer-42"}
    assert named == {"request", "send messages", "process deliveries"}


@pytest.mark.parametrize(
    ("changed", "late"),
    [
        ({"attempt": 2}, timedelta(seconds=1)),
        ({"trigger": Trigger.MANUAL}, timedelta(seconds=1)),
        ({}, timedelta(seconds=10)),
    ],
)
async def test_any_other_attempt_is_a_trace_of_its_own_linked_to_the_accept(
    collector: Collector, telemetry: Telemetry, changed: dict[str, Any], late: timedelta
) -> None:
    with telemetry.tracer.start_as_current_span("a request that resends"):
        trace_id = attempt(telemetry, claim(**changed), answered(200), Delivered(), late=late)

    collector.wait_for(lambda seen: len(seen.spans) == 3)
    process = collector.span("process deliveries")
    assert process.parent_id is None
    assert process.links == ((ACCEPT, "b7ad6b7169203331"),)
    assert process.trace_id == trace_id != collector.span("a request that resends").trace_id


async def test_a_later_attempt_is_linked_to_the_accept_and_to_the_attempt_before(
    collector: Collector, telemetry: Telemetry
) -> None:
    first = DeliveryTelemetry(telemetry)
    with first.attempting(claim(), at=NOW) as told:
        before = told.context

    attempt(telemetry, claim(attempt=2, previous=traceparent(before)), answered(200), Delivered())

    collector.wait_for(lambda seen: len(seen.spans) == 3)
    (second,) = [span for span in collector.spans if span.attributes.get("relevo.attempt") == 2 and span.links]
    assert second.links == ((ACCEPT, "b7ad6b7169203331"), (f"{before.trace_id:032x}", f"{before.span_id:016x}"))


@pytest.mark.parametrize(("slow", "settled"), [(60.0, []), (0.0, [False])])
async def test_keeping_an_outcome_is_a_span_only_when_it_is_slow(
    collector: Collector, telemetry: Telemetry, slow: float, settled: list[bool]
) -> None:
    told = DeliveryTelemetry(telemetry, slow=slow)

    with told.attempting(claim(), at=NOW) as made:
        pass
    with told.settling(claim(), after=made.context):
        pass
    telemetry.tracer.start_span("the last").end()

    collector.wait_for(lambda seen: any(span.name == "the last" for span in seen.spans))
    assert [span.failed for span in collector.spans if span.name == "settle"] == settled


async def test_an_outcome_that_cannot_be_kept_is_a_failed_span_below_its_attempt_and_is_counted(
    collector: Collector, telemetry: Telemetry
) -> None:
    told = DeliveryTelemetry(telemetry)
    with told.attempting(claim(), at=NOW) as made:
        pass

    with pytest.raises(RuntimeError), told.settling(claim(), after=made.context):
        raise RuntimeError("marker")

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    settle, process = collector.span("settle"), collector.span("process deliveries")
    assert (settle.failed, settle.parent_id, settle.trace_id) == (True, process.span_id, process.trace_id)
    assert settle.attributes["error.type"] == "RuntimeError"
    assert telemetry.registry.get_sample_value("relevo_delivery_unsettled_total", {"reason": "error"}) == 1
    assert b"marker" not in collector.everything


@pytest.mark.parametrize(("error", "throttled"), [(Busy, 1), (Unavailable, None)])
async def test_a_message_that_is_turned_away_is_counted_as_throttled_and_one_that_the_database_failed_is_not(
    telemetry: Telemetry, error: type[Busy], throttled: int | None
) -> None:
    with pytest.raises(error), DeliveryTelemetry(telemetry).accepting(new_message("app_1")):
        raise error

    counted = telemetry.registry.get_sample_value("relevo_message_accepted_total", {"outcome": "throttled"})
    assert counted == throttled


async def test_an_attempt_names_its_customer(collector: Collector, telemetry: Telemetry) -> None:
    attempt(telemetry, claim(), answered(200), Delivered())

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    process = collector.span("process deliveries")
    assert (process.attributes["relevo.org.id"], process.attributes["relevo.app.id"]) == ("org_1", "app_1")


async def test_every_span_of_an_attempt_can_be_found_by_message_endpoint_attempt_and_correlation(
    collector: Collector, telemetry: Telemetry
) -> None:
    attempt(telemetry, claim(), answered(200), Delivered())

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    wanted = {
        "relevo.message.id": "msg_1",
        "relevo.endpoint.id": "ep_1",
        "relevo.attempt": 1,
        "relevo.correlation_id": "order-17",
    }
    for span in collector.spans:
        assert wanted.items() <= span.attributes.items()


@pytest.mark.parametrize(
    ("outcome", "error_type"),
    [
        (answered(200), None),
        (answered(404), "4xx"),
        (answered(503), "5xx"),
        *((failed(error_type), error_type.value) for error_type in ErrorType),
    ],
)
async def test_an_attempt_is_one_point_with_the_error_type_that_its_spans_have(
    collector: Collector, telemetry: Telemetry, outcome: Outcome, error_type: str | None
) -> None:
    attempt(telemetry, claim(), outcome, Delivered() if error_type is None else TryAgain(delay=timedelta(seconds=5)))

    collector.wait_for(lambda seen: len(seen.spans) == 2 and bool(_points(seen)))
    (point,) = _points(collector)
    assert point.value == 1
    assert dict(point.labels).get("error.type") == error_type
    assert {span.attributes.get("error.type") for span in collector.spans} == {error_type}
    assert {span.failed for span in collector.spans} == {error_type is not None}


def _points(collector: Collector) -> list[Any]:
    return [point for point in collector.points if point.metric == "relevo.delivery.attempt.duration"]


async def test_a_points_exemplar_is_the_trace_of_the_attempt(collector: Collector, telemetry: Telemetry) -> None:
    trace_id = attempt(telemetry, claim(), answered(200), Delivered())

    collector.wait_for(lambda seen: bool(_points(seen)))
    (point,) = _points(collector)
    assert point.exemplars == (trace_id,)


async def test_one_line_tells_of_an_attempt_with_its_trace(telemetry: Telemetry, lines: Lines) -> None:
    trace_id = attempt(telemetry, claim(), failed(ErrorType.DNS), TryAgain(delay=timedelta(seconds=5)))

    (line,) = lines.all
    expected = {
        "event": "delivery.attempted",
        "trace_id": trace_id,
        "correlation_id": "order-17",
        "org_id": "org_1",
        "app_id": "app_1",
        "message_id": "msg_1",
        "endpoint_id": "ep_1",
        "attempt": 1,
        "verdict": "try_again",
        "error_type": "dns",
        "duration_ms": 120,
        "late_ms": 1000,
        "next_in_s": 5,
    }
    assert expected.items() <= line.items()


async def test_what_a_request_had_bound_is_bound_again_after_an_attempt(telemetry: Telemetry) -> None:
    with bound_contextvars(app_id="the request's", user="somebody"):
        attempt(telemetry, claim(), answered(200), Delivered())

        assert get_contextvars() == {"app_id": "the request's", "user": "somebody"}


async def test_nothing_of_payload_url_or_receivers_words_is_emitted(
    collector: Collector, telemetry: Telemetry, lines: Lines
) -> None:
    attempt(telemetry, claim(), answered(500), Exhausted(reason="attempts_used_up"))
    attempt(telemetry, claim(), failed(ErrorType.TLS), Exhausted(reason="attempts_used_up"))

    collector.wait_for(lambda seen: len(seen.spans) == 4 and len(seen.logs) == 2 and bool(_points(seen)))
    assert b"marker" not in collector.everything
    assert "marker" not in lines.getvalue()


async def test_an_attempt_that_breaks_off_is_an_error_without_text(collector: Collector, telemetry: Telemetry) -> None:
    with (
        pytest.raises(RuntimeError),
        DeliveryTelemetry(telemetry).attempting(claim(), at=NOW) as told,
        told.calling(HttpDestination(url="https://hooks.example.com")),
    ):
        raise RuntimeError("marker")

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    process = collector.span("process deliveries")
    assert process.failed
    assert process.attributes["error.type"] == "RuntimeError"
    assert b"marker" not in collector.everything


async def test_a_group_commit_is_a_trace_of_its_own_linked_with_the_accepts_it_served(
    collector: Collector, telemetry: Telemetry
) -> None:
    told = DeliveryTelemetry(telemetry)

    with told.accepting(new_message("app_1")) as accept:
        with told.batch("accept", [accept.context], size=1) as commit:
            pass
        accept.committed(Accepted(app_id=ApplicationId("app_1"), deliveries=1), batch=commit, size=1)

    collector.wait_for(lambda seen: len(seen.spans) == 2)
    send, committed = collector.span("send messages"), collector.span("commit accept")
    assert committed.parent_id is None
    assert committed.links == ((send.trace_id, send.span_id),)
    assert send.links == ((committed.trace_id, committed.span_id),)
    assert send.attributes["messaging.batch.message_count"] == committed.attributes["relevo.batch.size"] == 1


async def test_a_message_and_its_first_attempt_stay_within_the_series_budget() -> None:
    async with open_telemetry(role="test", version="1", environ={}) as telemetry:
        outcomes: list[Outcome] = [answered(200), answered(404), answered(500), *map(failed, ErrorType)]
        for number in range(1000):
            one = claim(message_id=f"msg_{number}", endpoint_id=f"ep_{number % 200}", event_type=f"type.{number % 50}")
            verdict = Delivered() if number % 2 else TryAgain(delay=timedelta(seconds=5))
            attempt(telemetry, one, outcomes[number % len(outcomes)], verdict)

        series = sum(len(family.samples) for family in telemetry.registry.collect())

    assert series < 400


async def test_a_receiver_is_not_told_of_spans_that_nobody_keeps(collector: Collector) -> None:
    environ = collector.environ() | {"OTEL_TRACES_EXPORTER": "none"}
    asks = claim(wants_trace=True)

    async with open_telemetry(role="test", version="1", environ=environ) as telemetry:
        with (
            DeliveryTelemetry(telemetry).attempting(asks, at=NOW) as told,
            told.calling(HttpDestination(url="https://example.com")),
        ):
            sent = told.context_for_receiver()

    assert sent == {}


async def test_a_receiver_is_told_of_an_attempt_that_is_not_sampled_as_not_sampled(collector: Collector) -> None:
    environ = collector.environ() | {"OTEL_TRACES_SAMPLER": "always_off"}
    asks = claim(wants_trace=True)

    async with open_telemetry(role="test", version="1", environ=environ) as telemetry:
        with (
            DeliveryTelemetry(telemetry).attempting(asks, at=NOW) as told,
            told.calling(HttpDestination(url="https://example.com")),
        ):
            sent = told.context_for_receiver()

    assert sent == {"traceparent": f"00-{ACCEPT}-{told.span_id}-00"}
    assert collector.spans == []


async def test_an_attempts_ids_are_those_of_its_line_where_no_span_is_kept(lines: Lines) -> None:
    async with open_telemetry(role="test", version="1", environ={}) as telemetry:
        trace_id = attempt(telemetry, claim(), answered(200), Delivered())
        other_trace = attempt(telemetry, claim(attempt=2), answered(200), Delivered())

    assert [line["trace_id"] for line in lines.all] == [trace_id, other_trace]
    assert trace_id == ACCEPT != other_trace
