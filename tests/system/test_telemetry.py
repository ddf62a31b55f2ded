"""What a process emits over its life: across a SIGKILL, beside a collector that hangs, until SIGTERM."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.otlp import Collector, running_collector
from tests.support.patience import patient, unhurried
from tests.support.processes import RelevoProcess, asking, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Promises

ADDED_MEMORY = 60_000_000  # what queues of spans and records, full to the brim, may take
FULL_QUEUES_ADD = 20_000_000  # what the same load once more may take, when the queues are full
AN_EXPORT = 10.0  # seconds that waiting for one would take, by default
DRAIN, BUDGET = 10.0, 5.0
PATIENCE = patient(15)
IDLE = 10.0
STARTED = {"Application startup complete.", "worker.ready"}
PROTOCOLS = ("grpc", "http/protobuf")
SMALL_QUEUES = {
    f"OTEL_{processor}_MAX_{what}_SIZE": "64" for processor in ("BSP", "BLRP") for what in ("QUEUE", "EXPORT_BATCH")
}

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


async def test_correlation_and_trace_survive_a_kill_between_the_accept_and_the_attempt(
    database: str, directory: Path, receiver: Receiver, collector: Collector
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, **collector.environ())
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        message = await send_later(customer, request_id="order-17")
        await arrived(collector, "send messages")
        await server.kill()
        await an_hour_passes(database)
        await server.start()
        await receiver.wait_for(1)
        await arrived(collector, "process deliveries")

    send, process = collector.span("send messages"), collector.span("process deliveries")
    assert send.attributes["relevo.message.id"] == process.attributes["relevo.message.id"] == message
    assert (process.trace_id, process.parent_id) == (send.trace_id, send.span_id)
    assert {send.attributes["relevo.correlation_id"], process.attributes["relevo.correlation_id"]} == {"order-17"}
    (line,) = server.events("delivery.attempted")
    assert (line["correlation_id"], line["trace_id"]) == ("order-17", send.trace_id)


async def test_the_start_and_ten_idle_seconds_of_a_server_and_a_worker_add_no_span(
    database: str, directory: Path, receiver: Receiver, collector: Collector
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, **collector.environ())
    processes = [RelevoProcess(role, environ, directory / role) for role in ("serve", "worker")]

    async with running(*processes):
        await asyncio.to_thread(collector.wait_for, lambda seen: {log.body for log in seen.logs} >= STARTED)
        at_start = [span.name for span in collector.spans]
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        await senders.send_all(customer, count=1, clients=1, promises=Promises())
        await arrived(collector, "commit settle")
        await asyncio.sleep(1)  # for what else is on its way
        before = len(collector.spans)
        for _ in range(int(IDLE)):
            for path in ("/livez", "/readyz", "/metrics"):
                await status_of(f"{customer.url}{path}")
            await asyncio.sleep(1)
        idle = [span.name for span in collector.spans[before:]]
        await senders.send_all(customer, count=2, clients=1, promises=Promises())
        await asyncio.to_thread(collector.wait_for, lambda seen: len(seen.spans) > before)

    assert at_start == []
    assert idle == []


async def test_whatever_a_process_writes_at_debug_level_is_json_with_ids_and_without_what_customers_write(
    database: str, directory: Path, receiver: Receiver, collector: Collector
) -> None:
    environ = settings(RELEVO_DATABASE_URL=database, RELEVO_LOG_LEVEL="debug", **collector.environ())
    server = RelevoProcess("serve", environ, directory / "log")

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/status/500/marker?token=marker")
        headers = {"authorization": f"Bearer {customer.token}", "x-request-id": "order-17", "x-custom": "marker"}
        async with asking(customer.url, **headers) as client:
            body = {"eventType": senders.EVENT_TYPE, "payload": {"marker": "marker"}}
            await client.post(f"/api/v1/app/{customer.app_id}/msg", json=body)
            await client.get("/marker?token=marker")
        await write(customer.url, b"GET marker marker\r\nmarker: marker\r\n\r\n")
        await receiver.wait_for(1)
        await arrived(collector, "process deliveries")
        assert await server.stop() == 0

    written = (directory / "log").read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    assert all({"event", "level", "timestamp", "logger"} <= line.keys() for line in lines)
    told = {line["span_id"]: line for line in lines if line.get("correlation_id") == "order-17"}
    exported = {log.span_id: log for log in collector.logs if log.attributes.get("correlation_id") == "order-17"}
    assert told.keys() == exported.keys()
    assert {line["trace_id"] for line in told.values()} == {log.trace_id for log in exported.values()}
    assert not [name for log in collector.logs for name in log.attributes if name.startswith("_")]
    for marker in ("marker", customer.token, customer.secret.removeprefix("whsec_")):
        assert marker not in written
        assert marker.encode() not in collector.everything


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_hanging_collector_neither_delays_nor_fattens_the_process_and_what_is_dropped_is_counted(
    database: str, directory: Path, receiver: Receiver, protocol: str
) -> None:
    promises = Promises()
    as_ever = await seconds_to_start(settings(RELEVO_DATABASE_URL=database), directory)
    with running_collector("hang") as collector:
        environ = settings(RELEVO_DATABASE_URL=database, **collector.environ(protocol, **SMALL_QUEUES))
        server = RelevoProcess("serve", environ, directory / "log")
        began = time.monotonic()
        async with running(server):
            started_in = time.monotonic() - began
            customer = await senders.prepare(environ, f"{receiver.url}/ok")
            at_first = server.peak_memory()
            await senders.send_all(customer, count=100, clients=8, promises=promises)
            await receiver.wait_for(100, within=PATIENCE)
            dropped = await lost(customer.url)
            grown = server.peak_memory() - at_first
            server.forget_peak()
            when_full = server.peak_memory()
            await senders.send_all(customer, count=300, clients=8, promises=promises)
            fattened = server.peak_memory() - when_full
            ready = await status_of(f"{customer.url}/readyz")
            sending = asyncio.create_task(senders.send_all(customer, count=5000, clients=8, promises=promises))
            await promises.reach(450)
            began = time.monotonic()
            status = await server.stop()
            took = time.monotonic() - began
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        kept = await audit.ask(database, "SELECT count(*) FROM message WHERE id = ANY ($1)", list_of(promises))

    assert started_in < as_ever + unhurried(AN_EXPORT)
    assert ready == 200
    assert all(count > 0 for count in dropped.values())
    assert set(dropped) == {"span", "log"}
    assert grown < ADDED_MEMORY
    assert fattened < FULL_QUEUES_ADD
    assert status == 0
    assert took < unhurried(DRAIN + BUDGET)
    assert kept == len(promises.accepted)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_server_that_leaves_under_load_tells_of_everything_it_accepted(
    database: str, directory: Path, receiver: Receiver, collector: Collector, protocol: str
) -> None:
    # The collector of this test gets everything at the end only.
    late = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_BLRP_SCHEDULE_DELAY": "60000"}
    environ = settings(RELEVO_DATABASE_URL=database, **collector.environ(protocol, **late))
    server = RelevoProcess("serve", environ, directory / "log")
    promises = Promises()

    async with running(server):
        customer = await senders.prepare(environ, f"{receiver.url}/ok")
        sending = asyncio.create_task(senders.send_all(customer, count=5000, clients=8, promises=promises))
        await promises.reach(100)
        began = time.monotonic()
        status = await server.stop()
        took = time.monotonic() - began
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    assert (status, took < unhurried(DRAIN + BUDGET)) == (0, True)
    told = {span.attributes["relevo.message.id"] for span in collector.spans if span.name == "send messages"}
    assert set(promises.accepted.values()) <= told
    accepted = sum(point.value for point in collector.points if point.metric == "relevo.message.accepted")
    assert accepted >= len(promises.accepted)
    lines = [log for log in collector.logs if log.body == "request.finished" and log.attributes["status"] == 202]
    assert len(lines) >= len(promises.accepted)


async def send_later(customer: senders.Customer, *, request_id: str) -> str:
    """A message that is due in an hour."""
    due = datetime.now(UTC) + timedelta(hours=1)
    body = {"eventType": senders.EVENT_TYPE, "payload": {}, "deliverAt": due.isoformat()}
    headers = {"authorization": f"Bearer {customer.token}", "x-request-id": request_id}
    async with asking(customer.url, **headers) as client:
        answer = await client.post(f"/api/v1/app/{customer.app_id}/msg", json=body)
    assert answer.status_code == 202
    return str(answer.json()["id"])


async def an_hour_passes(database: str) -> None:
    """For the one message that there is. Its time is a while ahead, so that however slow the start is it is on time."""
    await audit.ask(database, "UPDATE message SET deliver_at = now() + interval '10 minutes'")
    await audit.ask(database, "UPDATE pending_delivery SET due_at = now()")


async def arrived(collector: Collector, name: str) -> None:
    """Until a span of that name has."""
    await asyncio.to_thread(collector.wait_for, lambda seen: any(span.name == name for span in seen.spans))


async def seconds_to_start(environ: dict[str, str], directory: Path) -> float:
    """How long a server that exports nothing takes, on this machine at this moment."""
    began = time.monotonic()
    async with running(RelevoProcess("serve", environ, directory / "silent")):
        return time.monotonic() - began


async def status_of(url: str) -> int:
    async with asking() as client:
        return (await client.get(url)).status_code


async def write(url: str, request: bytes) -> None:
    """Send that, whatever it is, and wait for the end of the connection."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(request)
    await reader.read()
    writer.close()


async def lost(url: str) -> dict[str, float]:
    """How many spans and log records the full queues did not take."""
    async with asking() as client:
        page = (await client.get(f"{url}/metrics")).text
    return {
        family.name.removeprefix("otel_sdk_processor_").removesuffix("_processed"): sum(
            sample.value for sample in family.samples if sample.labels.get("error_type") == "queue_full"
        )
        for family in text_string_to_metric_families(page)
        if family.name.startswith("otel_sdk_processor_") and family.name.endswith("_processed")
    }


def list_of(promises: Promises) -> list[str]:
    return list(promises.accepted.values())
