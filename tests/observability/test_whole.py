"""What the whole of Relevo emits: for a message, for a commit that fails, for a thousand deliveries, for nothing."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from httpx import Response
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url
from structlog.contextvars import clear_contextvars

from service.observability.logging import configure_logging
from service.observability.telemetry import Telemetry, open_telemetry
from tests.faults.wire import open_wire
from tests.observability.conftest import Lines
from tests.observability.whole import Whole, running_whole
from tests.support.factories import ORG, add_application, add_endpoint
from tests.support.otlp import Collector
from tests.support.patience import patient
from tests.support.postgres import asyncpg_dsn
from tests.support.queues import owe
from tests.support.receiver import Receiver, running_receiver
from tests.support.signals import Span

PATIENCE = patient(20)
SPANS_OF_A_MESSAGE = {"POST /api/v1/app/{app_id}/msg", "send messages", "process deliveries", "POST"}
TIMED_FOR_A_MESSAGE = {
    "http_server_request_duration_seconds_count",
    "relevo_delivery_attempt_duration_seconds_count",
    "relevo_delivery_first_attempt_delay_seconds_count",
    "relevo_delivery_latency_seconds_count",
}
PER_BATCH = ("relevo_commit_", "relevo_pool_", "relevo_eventloop_")
# The collector's own export goes on meanwhile.
NOT_OURS = ("otel_sdk_", "target_info")
REFUSE_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'marker' USING DETAIL = 'marker'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON application
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
"""
MORE_ENDPOINTS = """
INSERT INTO endpoint SELECT (jsonb_populate_record(e, jsonb_build_object(
    'id', 'ep_' || lpad(n::text, 27, '0'), 'url', $1 || ($2::text[])[n % 4 + 1] || n, 'channels', ARRAY['c' || n]
))).* FROM endpoint e, generate_series(1, 199) n
"""
ANSWERS = [
    ("GET", "/api/v1/app", b"", 200),
    ("GET", "/api/v1/app/none", b"", 404),
    ("GET", "/nowhere", b"", 404),
    ("DELETE", "/api/v1/app", b"", 405),
    ("POST", "/api/v1/app", b"{}", 422),
    ("POST", "/api/v1/app/none/msg", b" " * 3_000_000, 413),
    ("POST", "/api/v1/app", b'{"name": "a"}', 500),
]
SLOW = {"1": {"type": "object", "properties": {"id": {"type": "string", "pattern": "^(a+)+$"}}}}
FATES = ["/ok/", "/status/404/", "/status/500/", "/reset/"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections beside Relevo's own."""
    async with asyncpg.create_pool(asyncpg_dsn(database), min_size=1, max_size=2) as pool:
        yield pool


@pytest.fixture
async def whole(database: str, telemetry: Telemetry, lines: Lines) -> AsyncIterator[Whole]:
    assert not lines.getvalue()
    async with running_whole(telemetry, database=database, RELEVO_RETRY_SCHEDULE="[3600]") as whole:
        yield whole


async def test_a_message_and_its_first_attempt_are_four_spans_four_points_and_two_lines(
    whole: Whole, telemetry: Telemetry, collector: Collector, lines: Lines, receiver: Receiver
) -> None:
    app_id = await whole.application("a", f"{receiver.url}/ok")
    before, told = counts(telemetry), len(lines.all)

    message = await whole.message(app_id)
    await arrived(collector, lambda span: span.attributes.get("relevo.message.id") == message, count=4)
    await arrived(collector, lambda span: span.name == "POST /api/v1/app/{app_id}/msg", count=1)

    (send,) = [span for span in collector.spans if span.name == "send messages"]
    of_the_message = [span for span in collector.spans if span.trace_id == send.trace_id]
    assert len(of_the_message) == len(SPANS_OF_A_MESSAGE)
    assert {span.name for span in of_the_message} == SPANS_OF_A_MESSAGE
    grown = {name for name, value in counts(telemetry).items() if value == before.get(name, 0) + 1}
    assert {name for name in grown if name.endswith("_count") and not name.startswith(PER_BATCH)} == TIMED_FOR_A_MESSAGE
    assert sorted(line["event"] for line in lines.all[told:]) == ["delivery.attempted", "request.finished"]


async def test_what_customers_write_is_in_no_signal_and_a_strangers_context_goes_to_no_receiver(
    whole: Whole, collector: Collector, lines: Lines, receiver: Receiver
) -> None:
    url = receiver.url.replace("//", "//marker:marker@") + "/status/500/marker?marker=marker"
    secret = f"whsec_{b64encode(b'marker' * 5).decode()}"
    app_id = (await whole.made("/app", {"name": "marker", "uid": "theirs"}))["id"]
    await whole.made(f"/app/{app_id}/endpoint", {"url": url, "headers": {"x-marker": "marker"}, "secret": secret})
    whole.api.headers.update({"baggage": "marker=marker", "x-custom": "marker"})

    again = await whole.api.post("/api/v1/app?token=marker", json={"name": "a", "uid": "theirs"})
    message = await whole.made(f"/app/{app_id}/msg", {"eventType": "a.b", "payload": {"marker": "marker"}})
    (call,) = await receiver.wait_for(1)
    await arrived(collector, lambda span: span.attributes.get("relevo.message.id") == message["id"], count=4)
    await arrived(collector, lambda span: span.name == "POST /api/v1/app/{app_id}/msg", count=1)
    await asyncio.to_thread(collector.wait_for, is_told_in_full)

    assert again.status_code == 409
    assert (call.header("baggage"), call.header("traceparent"), call.header("x-marker")) == (None, None, "marker")
    page = (await whole.api.get("/metrics")).text
    for written in ("marker", secret.removeprefix("whsec_"), whole.api.headers["authorization"].split()[1]):
        assert written.encode() not in collector.everything
        assert written not in lines.getvalue() + page


async def test_an_endpoint_that_asks_for_it_gets_our_trace_context_with_each_call(
    whole: Whole, collector: Collector, receiver: Receiver
) -> None:
    app_id = await whole.application("a")
    asks = {"url": f"{receiver.url}/ok", "metadata": {"relevo.traceparent": "true"}}
    await whole.made(f"/app/{app_id}/endpoint", asks)

    await whole.message(app_id)
    (call,) = await receiver.wait_for(1)
    await arrived(collector, lambda span: span.name == "POST", count=1)

    sent = collector.span("POST")
    _, *ids, flags = str(call.header("traceparent")).split("-")
    assert (ids, int(flags, 16) & 1) == ([sent.trace_id, sent.span_id], 1)


@pytest.mark.parametrize("asked", ["msg/{message}/endpoint/{endpoint}/resend", "endpoint/{endpoint}/bulk-replay"])
async def test_who_asked_for_an_attempt_besides_the_schedule_is_found_by_its_task(
    whole: Whole, collector: Collector, lines: Lines, receiver: Receiver, asked: str
) -> None:
    app_id = await whole.application("a")
    made = await whole.made(f"/app/{app_id}/endpoint", {"url": f"{receiver.url}/ok"})
    message = await whole.message(app_id)
    await listed(whole, f"/api/v1/app/{app_id}/attempt/msg/{message}", count=1)

    path = asked.format(message=message, endpoint=made["id"])
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    answer = await whole.api.post(f"/api/v1/app/{app_id}/{path}", json={"since": since})
    await receiver.wait_for(2)
    await arrived(collector, lambda span: span.name == "process deliveries", count=2)

    (task,) = {
        span.attributes["relevo.task.id"]
        for span in collector.spans
        if span.name == "process deliveries" and "relevo.task.id" in span.attributes
    }
    (request,) = [span for span in collector.spans if span.trace_id == trace_of(answer) and span.name == "request"]
    assert request.attributes["relevo.task.id"] == task
    told = [line["event"] for line in lines.all if line.get("task_id") == task]
    assert {"request.finished", "delivery.attempted"} <= set(told)


@pytest.mark.parametrize(
    ("method", "path", "body", "statements"),
    [("GET", "/api/v1/app/none", b"", ["SELECT"]), ("POST", "/api/v1/app", b'{"name": "a"}', ["INSERT", "INSERT"])],
)
async def test_a_requests_statements_are_one_span_each(
    whole: Whole, collector: Collector, *, method: str, path: str, body: bytes, statements: list[str]
) -> None:
    answer = await whole.api.request(method, path, content=body)
    await arrived(collector, lambda span: span.kind == "SERVER", count=1)
    await arrived(collector, is_of_a_statement, count=len(statements))  # the audit's comes after the answer

    assert {span.trace_id for span in collector.spans} == {trace_of(answer)}
    assert [span.name.partition(" ")[0] for span in collector.spans if is_of_a_statement(span)] == statements


async def test_every_answer_and_all_lines_and_spans_of_its_request_have_the_callers_request_id(
    whole: Whole, collector: Collector, lines: Lines, pool: asyncpg.Pool
) -> None:
    await pool.execute(REFUSE_COMMIT)

    answers = {}
    for number, (method, path, body, _) in enumerate(ANSWERS):
        headers = {"x-request-id": f"order-{number}"}
        answers[f"order-{number}"] = await whole.api.request(method, path, content=body, headers=headers)
    await arrived(collector, lambda span: span.kind == "SERVER", count=len(ANSWERS))

    assert [answer.status_code for answer in answers.values()] == [status for *_, status in ANSWERS]
    for request_id, answer in answers.items():
        assert answer.headers.get_list("x-request-id") == [request_id]
        told = [line for line in lines.all if line.get("trace_id") == trace_of(answer)]
        assert "request.finished" in {line["event"] for line in told}
        assert {line["correlation_id"] for line in told} == {request_id}
        spans = [span for span in collector.spans if span.trace_id == trace_of(answer)]
        assert {span.attributes.get("relevo.correlation_id") for span in spans} == {request_id}
    assert any(map(is_of_a_statement, collector.spans))


async def test_the_exemplars_of_what_a_message_took_are_traces_that_are_there(
    whole: Whole, collector: Collector, receiver: Receiver
) -> None:
    app_id = await whole.application("a", f"{receiver.url}/ok")

    message = await whole.message(app_id)
    await arrived(collector, lambda span: span.attributes.get("relevo.message.id") == message, count=4)
    await arrived(collector, lambda span: span.name == "POST /api/v1/app/{app_id}/msg", count=1)

    (send,) = [span for span in collector.spans if span.name == "send messages"]
    for series in TIMED_FOR_A_MESSAGE:
        metric = series.removesuffix("_seconds_count").replace("_", ".").replace("first.attempt", "first_attempt")
        await asyncio.to_thread(collector.wait_for, gives_as_example(metric, send.trace_id))
        assert collector.exemplars(metric) <= {span.trace_id for span in collector.spans}


async def test_an_accepts_line_and_spans_name_the_customer_and_the_message(
    whole: Whole, collector: Collector, lines: Lines
) -> None:
    app_id = await whole.application("a")
    clear_contextvars()  # the client here is in one context with its requests

    message = await whole.message(app_id)
    await arrived(collector, lambda span: span.name == "POST /api/v1/app/{app_id}/msg", count=1)

    (line,) = [line for line in lines.of("request.finished") if line["status"] == 202]
    assert (line["org_id"], line["app_id"], line["message_id"]) == (ORG, app_id, message)
    (send,) = [span for span in collector.spans if span.name == "send messages"]
    (request,) = [span for span in collector.spans if span.span_id == send.parent_id]
    named = {"relevo.org.id": ORG, "relevo.app.id": app_id, "relevo.message.id": message}
    assert named.items() <= request.attributes.items()


async def test_every_executor_in_use_tells_of_its_work_with_the_ids_of_whoever_asked(
    whole: Whole, telemetry: Telemetry, receiver: Receiver
) -> None:
    await whole.made("/event-type", {"name": "a.b", "description": "", "schemas": SLOW, "validatePayloads": True})
    app_id = await whole.application("a", receiver.url.replace("127.0.0.1", "localhost") + "/ok")
    configure_logging(level="debug", logger_provider=telemetry.logger_provider, stream=(talkative := Lines()))
    body = json.dumps({"eventType": "a.b", "payload": {}}).encode()

    asked = {}
    for path, request_id in {"msg": "order-1", "msg/import": "order-2"}.items():
        headers = {"x-request-id": request_id}
        answer = await whole.api.post(f"/api/v1/app/{app_id}/{path}", content=body, headers=headers)
        asked[path] = (request_id, trace_of(answer))
    await receiver.wait_for(2)

    def told(event: str, **of: str) -> set[tuple[str, str]]:
        lines = [line for line in talkative.of(event) if of.items() <= line.items()]
        return {(line["correlation_id"], line["trace_id"]) for line in lines}

    for end in ("began", "finished"):
        assert told(f"process.{end}", work="faults") == {asked["msg"], asked["msg/import"]}
        assert told(f"thread.{end}", pool="imports") == {asked["msg/import"]}
        # Looked up by the attempts, which go on with the trace of their accept; the second finds what the first found.
        assert asked["msg"] in told(f"thread.{end}", pool="dns") <= set(asked.values())


async def test_a_commit_that_fails_is_a_500_for_the_caller_on_the_span_the_line_and_the_point(
    whole: Whole, telemetry: Telemetry, collector: Collector, lines: Lines, pool: asyncpg.Pool
) -> None:
    await pool.execute(REFUSE_COMMIT)

    answer = await whole.api.post("/api/v1/app", json={"name": "a"})
    await arrived(collector, lambda span: span.kind == "SERVER", count=1)

    assert answer.status_code == 500
    assert lines.one("request.finished")["status"] == 500
    assert lines.one("request.failed")["trace_id"] == answer.headers["traceresponse"].split("-")[1]
    assert [span.failed for span in collector.spans if span.kind == "SERVER"] == [True]
    failures = [
        sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_count"
        and sample.labels["http_response_status_code"] == "500"
    ]
    assert failures == [1]
    await asyncio.to_thread(collector.wait_for, lambda seen: any(log.body == "request.failed" for log in seen.logs))
    assert b"marker" not in collector.everything
    assert "marker" not in lines.getvalue() + answer.text


async def test_a_thousand_messages_of_fifty_types_to_two_hundred_endpoints_are_few_series(
    database: str, pool: asyncpg.Pool, receiver: Receiver
) -> None:
    messages = [{"eventType": f"t.{n % 50}", "payload": {}, "channels": [f"c{n % 200}"]} for n in range(1000)]
    rest = "\n".join(map(json.dumps, messages[50:])).encode()

    async with (
        open_telemetry(role="test", version="1", environ={}) as telemetry,
        running_whole(telemetry, database=database, RELEVO_RETRY_SCHEDULE="[3600]") as whole,
    ):
        app_id = await whole.application("a", f"{receiver.url}/ok/0")
        await pool.execute("UPDATE endpoint SET channels = '{c0}'")
        await pool.execute(MORE_ENDPOINTS, receiver.url, FATES)
        for message in messages[:50]:
            await whole.made(f"/app/{app_id}/msg", message)
        imported = await whole.api.post(f"/api/v1/app/{app_id}/msg/import?file_id=rest", content=rest)
        await receiver.wait_for(1000, within=PATIENCE)
        series = sum(len(family.samples) for family in telemetry.registry.collect())

    assert imported.json()["accepted"] == 950, imported.text
    assert len({call.path for call in receiver.calls}) == 200
    assert series < 400


async def test_the_queues_gauges_are_what_sql_counts(
    database: str, telemetry: Telemetry, lines: Lines, pool: asyncpg.Pool
) -> None:
    assert not lines.getvalue()
    app_id = await add_application(pool)
    endpoint = await add_endpoint(pool, app_id)
    await owe(pool, endpoint, app_id, 3)
    await pool.execute("UPDATE pending_delivery SET due_at = now() + interval '1 h', lease = 'another''s'")
    await owe(pool, endpoint, app_id, 5)
    await pool.execute("UPDATE pending_delivery SET due_at = now() + interval '1 h' WHERE due_at < now()")
    await owe(pool, endpoint, app_id, 7)
    await pool.execute("UPDATE pending_delivery SET due_at = now() - interval '1 min' WHERE due_at < now()")

    async with pool.acquire() as connection, connection.transaction():
        # What somebody else has locked, nobody claims, and it stays due.
        await connection.execute("SELECT FROM pending_delivery FOR UPDATE")
        async with running_whole(telemetry, database=database) as whole:
            await until(lambda: telemetry.registry.get_sample_value("relevo_queue_oldest_due_age_seconds") is not None)
            page = (await whole.api.get("/metrics")).text

    gauges = {
        (sample.name, sample.labels.get("state")): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("relevo_queue_")
    }
    assert 60 <= gauges.pop(("relevo_queue_oldest_due_age_seconds", None)) < 60 + PATIENCE
    assert gauges == {
        ("relevo_queue_depth", "leased"): 3,
        ("relevo_queue_depth", "scheduled"): 5,
        ("relevo_queue_depth", "due"): 7,
    }


async def test_probes_tell_of_the_database_that_went_away_and_came_back(
    database: str, telemetry: Telemetry, lines: Lines
) -> None:
    assert not lines.getvalue()
    url = make_url(database)
    async with open_wire(lambda: f"{url.query['host']}/.s.PGSQL.{url.query['port']}") as wire:
        over_the_wire = f"postgresql://postgres@127.0.0.1:{wire.port}/{url.database}"
        async with running_whole(telemetry, database=over_the_wire) as whole:
            await answers(whole, "/readyz", 200)
            wire.cut()
            await answers(whole, "/readyz", 503)
            away = [(await whole.api.get(path)).status_code for path in ("/livez", "/healthz", "/startupz", "/metrics")]
            wire.mend()
            await answers(whole, "/readyz", 200)

    assert away == [200, 200, 200, 200]
    assert [line["ok"] for line in lines.of("health.database")] == [True, False, True]


def counts(telemetry: Telemetry) -> dict[str, float]:
    """Every series' value, summed by name."""
    found: dict[str, float] = {}
    for family in telemetry.registry.collect():
        for sample in family.samples:
            if not sample.name.startswith(NOT_OURS):
                found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def is_told_in_full(collector: Collector) -> bool:
    """Whether lines and points of a message have come as well."""
    lines, metrics = {log.body for log in collector.logs}, {point.metric for point in collector.points}
    return "delivery.attempted" in lines and "relevo.delivery.attempt.duration" in metrics


def is_of_a_statement(span: Span) -> bool:
    return "db.system.name" in span.attributes


def gives_as_example(metric: str, trace_id: str) -> Callable[[Collector], bool]:
    """Whether a point of the metric has."""
    return lambda seen: trace_id in seen.exemplars(metric)


def trace_of(answer: Response) -> str:
    return str(answer.headers["traceresponse"].split("-")[1])


async def arrived(collector: Collector, wanted: Callable[[Span], bool], *, count: int) -> None:
    """Until so many such spans have."""
    await asyncio.to_thread(collector.wait_for, lambda seen: sum(map(wanted, seen.spans)) >= count)


async def listed(whole: Whole, path: str, *, count: int) -> None:
    """Until the list there has so many: an attempt's call and its span come before it is settled."""
    async with asyncio.timeout(PATIENCE):
        while len((await whole.api.get(path)).json()["data"]) < count:  # noqa: ASYNC110 - it is looked at
            await asyncio.sleep(0.02)


async def answers(whole: Whole, path: str, status: int) -> None:
    """Until it does."""
    async with asyncio.timeout(PATIENCE):
        while (await whole.api.get(path)).status_code != status:  # noqa: ASYNC110 - it is looked at, and does not tell
            await asyncio.sleep(0.02)


async def until(true: Callable[[], bool]) -> None:
    """Until it is."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - a gauge is looked at, and does not tell
            await asyncio.sleep(0.01)
