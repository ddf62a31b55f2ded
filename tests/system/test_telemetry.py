"""What a process emits over its life: across a SIGKILL, beside a collector that hangs, until SIGTERM."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.otlp import Collector, running_collector
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver
from tests.system import audit, senders
from tests.system.senders import Promises

ADDED_MEMORY = 60_000_000  # what queues of spans and records, full to the brim, may take
DRAIN, BUDGET = 10.0, 5.0
PATIENCE = 15.0
SMALL_QUEUES = {
    f"OTEL_{processor}_MAX_{what}_SIZE": "64" for processor in ("BSP", "BLRP") for what in ("QUEUE", "EXPORT_BATCH")
}

IMPATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}  # seconds

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


async def test_a_hanging_collector_neither_delays_nor_fattens_the_process_and_what_is_dropped_is_counted(
    database: str, directory: Path, receiver: Receiver
) -> None:
    promises = Promises()
    with running_collector("hang") as collector:
        environ = settings(RELEVO_DATABASE_URL=database, **collector.environ(**SMALL_QUEUES, **IMPATIENT))
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
            sending = asyncio.create_task(senders.send_all(customer, count=5000, clients=8, promises=promises))
            await promises.reach(150)
            began = time.monotonic()
            status = await server.stop()
            took = time.monotonic() - began
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        kept = await audit.ask(database, "SELECT count(*) FROM message WHERE id = ANY ($1)", list_of(promises))

    assert started_in < PATIENCE
    assert all(count > 0 for count in dropped.values())
    assert set(dropped) == {"span", "log"}
    assert grown < ADDED_MEMORY
    assert status == 0
    assert took < DRAIN + BUDGET
    assert kept == len(promises.accepted)


async def test_a_server_that_leaves_under_load_tells_of_everything_it_accepted(
    database: str, directory: Path, receiver: Receiver, collector: Collector
) -> None:
    # The collector of this test gets everything at the end only.
    late = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_BLRP_SCHEDULE_DELAY": "60000"}
    environ = settings(RELEVO_DATABASE_URL=database, **collector.environ(**late))
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

    assert (status, took < DRAIN + BUDGET) == (0, True)
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
    async with httpx.AsyncClient(base_url=customer.url, headers=headers) as client:
        answer = await client.post(f"/api/v1/app/{customer.app_id}/msg", json=body)
    assert answer.status_code == 202
    return str(answer.json()["id"])


async def an_hour_passes(database: str) -> None:
    """For the one message that there is."""
    await audit.ask(database, "UPDATE message SET deliver_at = now()")
    await audit.ask(database, "UPDATE pending_delivery SET due_at = now()")


async def arrived(collector: Collector, name: str) -> None:
    """Until a span of that name has."""
    await asyncio.to_thread(collector.wait_for, lambda seen: any(span.name == name for span in seen.spans))


async def lost(url: str) -> dict[str, float]:
    """How many spans and log records the full queues did not take."""
    async with httpx.AsyncClient(trust_env=False) as client:
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
