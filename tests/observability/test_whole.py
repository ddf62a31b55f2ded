"""What the whole of Relevo emits: for a message, for a commit that fails, for a thousand deliveries, for nothing."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url

from service.observability.telemetry import Telemetry, open_telemetry
from tests.faults.wire import open_wire
from tests.observability.conftest import Lines
from tests.observability.whole import Whole, running_whole
from tests.support.factories import add_application, add_endpoint
from tests.support.otlp import Collector
from tests.support.postgres import asyncpg_dsn
from tests.support.queues import owe
from tests.support.receiver import Receiver, running_receiver
from tests.support.signals import Span

PATIENCE = 20.0
SPANS_OF_A_MESSAGE = {"POST /api/v1/app/{app_id}/msg", "request", "send messages", "process deliveries", "POST"}
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
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON application
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
"""
MORE_ENDPOINTS = """
INSERT INTO endpoint SELECT (jsonb_populate_record(e, jsonb_build_object(
    'id', 'ep_' || lpad(n::text, 27, '0'), 'url', $1 || ($2::text[])[n % 4 + 1] || n, 'channels', ARRAY['c' || n]
))).* FROM endpoint e, generate_series(1, 199) n
"""
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


async def test_a_message_and_its_first_attempt_are_five_spans_four_points_and_two_lines(
    whole: Whole, telemetry: Telemetry, collector: Collector, lines: Lines, receiver: Receiver
) -> None:
    app_id = await whole.application("a", f"{receiver.url}/ok")
    before, told = counts(telemetry), len(lines.all)

    message = await whole.message(app_id)
    await arrived(collector, lambda span: span.attributes.get("relevo.message.id") == message, count=3)
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
    app_id = (await whole.made("/app", {"name": "marker", "uid": "marker"}))["id"]
    await whole.made(f"/app/{app_id}/endpoint", {"url": url, "headers": {"x-marker": "marker"}, "secret": secret})
    whole.api.headers.update({"baggage": "marker=marker", "x-custom": "marker"})

    again = await whole.api.post("/api/v1/app?token=marker", json={"name": "a", "uid": "marker"})
    message = await whole.made(f"/app/{app_id}/msg", {"eventType": "a.b", "payload": {"marker": "marker"}})
    (call,) = await receiver.wait_for(1)
    await arrived(collector, lambda span: span.attributes.get("relevo.message.id") == message["id"], count=3)
    await arrived(collector, lambda span: span.name == "POST /api/v1/app/{app_id}/msg", count=1)

    assert again.status_code == 409
    assert (call.header("baggage"), call.header("traceparent"), call.header("x-marker")) == (None, None, "marker")
    page = (await whole.api.get("/metrics")).text
    for written in ("marker", secret.removeprefix("whsec_"), whole.api.headers["authorization"].split()[1]):
        assert written.encode() not in collector.everything
        assert written not in lines.getvalue() + page


async def test_a_requests_statements_are_one_span_each_and_a_round_of_every_upkeep_makes_none(
    whole: Whole, telemetry: Telemetry, collector: Collector
) -> None:
    # Each of the rounds, of which ten idle seconds have several, begins as soon as all is open.
    await until(lambda: telemetry.registry.get_sample_value("relevo_worker_capacity") is not None)
    await asyncio.sleep(1.2)  # the second look for revocations and for background tasks

    answer = await whole.api.get("/api/v1/app/none")
    await arrived(collector, lambda span: span.kind == "SERVER", count=1)

    trace_id = answer.headers["traceresponse"].split("-")[1]
    assert {span.trace_id for span in collector.spans} == {trace_id}
    statements = [span.name for span in collector.spans if "db.system.name" in span.attributes]
    assert [name.partition(" ")[0] for name in statements] == ["SELECT"]


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


async def arrived(collector: Collector, wanted: Callable[[Span], bool], *, count: int) -> None:
    """Until so many such spans have."""
    await asyncio.to_thread(collector.wait_for, lambda seen: sum(map(wanted, seen.spans)) >= count)


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
