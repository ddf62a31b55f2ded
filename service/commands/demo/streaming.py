"""The steps of `relevo demo --brokers`: events come from JetStream, and leave over HTTP, RabbitMQ and Kafka."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from rich.console import Console

from service.commands.demo import report
from service.commands.demo.brokers import BrokerPlaces, Brokers, Next, open_places
from service.commands.demo.receivers import ORDERED, Receivers
from service.commands.demo.server import Relevo, ServerFailed, running_relevo
from service.commands.demo.story import ARRIVAL_TIMEOUT_S, EVENT_TYPE, EVENTS, SETTLE_TIMEOUT_S
from service.commands.demo.traces import TraceStub
from service.commands.demo.web import serving
from service.commands.demo.witness import Check, Span

HTTP = "fifoEndpoint"


async def run(brokers: Brokers) -> int:
    """Run the demo. Returns 0 when every event arrived everywhere in the same order, in one trace from its producer to
    each receiver, else 1."""
    console = Console(highlight=False)
    receivers, stub = Receivers(lambda arrival: report.show_arrival(console, arrival)), TraceStub()
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory(prefix="relevo-demo-"))
        url = await stack.enter_async_context(serving([*receivers.routes(), *stub.routes()]))
        places = await stack.enter_async_context(open_places(brokers, f"relevo-demo-{token_hex(4)}"))
        try:
            with console.status("Starting Relevo with a PostgreSQL of its own ..."):
                relevo = await stack.enter_async_context(running_relevo(Path(directory), stub.environ(url)))
        except ServerFailed as failure:
            console.print(f"[red]Relevo did not start.[/]\n{failure}")
            return 1
        console.print(f"Relevo serves at [bold]{relevo.url}[/] and keeps everything in {directory}", soft_wrap=True)
        await _set_up(relevo, receivers, places, f"{url}/receivers/{ORDERED}")
        return 0 if await _play(console, receivers, stub, places) else 1


async def _play(console: Console, receivers: Receivers, stub: TraceStub, places: BrokerPlaces) -> bool:
    console.print(f"One source, three ordered destinations, {EVENTS} events of type {EVENT_TYPE} to JetStream:\n")
    traces = [await _publish(stub, places, number) for number in range(1, EVENTS + 1)]
    await receivers.wait_until(lambda: len(receivers.accepted_by(ORDERED)) == EVENTS, within=ARRIVAL_TIMEOUT_S)
    arrived = {HTTP: [arrival.message_id for arrival in receivers.arrivals]}
    arrived |= {kind: await _arrived(after) for kind, after in places.arrivals.items()}
    console.print(report.orders_table(arrived))
    first = next(iter(arrived[HTTP]), "")
    roots = await stub.batches_of(first, batches=len(arrived), within=SETTLE_TIMEOUT_S)
    console.print(report.span_trees(roots, first, {}))
    return report.show_checks(console, _checks(receivers, arrived, roots, traces))


async def _set_up(relevo: Relevo, receivers: Receivers, places: BrokerPlaces, url: str) -> None:
    """An application whose messages come from the stream, and its destinations."""
    headers = {"authorization": f"Bearer {relevo.token}"}
    async with httpx.AsyncClient(base_url=f"{relevo.url}/api/v1", headers=headers, trust_env=False) as api:
        await _made(api, "/app", {"name": "Demo", "uid": "demo"})
        for kind, config in {HTTP: {"url": url}, **places.sinks}.items():
            wanted = {"uid": kind, "type": kind, "batchSize": 1, "config": config}
            await _made(api, "/app/demo/destination", wanted)
        secret = (await api.get(f"/app/demo/destination/{HTTP}/secret")).raise_for_status().json()
        receivers.expect(ORDERED, secret["key"])
        source = {"name": "Demo", "application": "demo", "eventType": EVENT_TYPE, "nats": places.source}
        await _made(api, "/source", source)


async def _made(api: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> None:
    (await api.post(path, json=body)).raise_for_status()


async def _publish(stub: TraceStub, places: BrokerPlaces, number: int) -> str:
    """Publish an event within a span, as a producer that is traced does; the id of its trace."""
    trace_id, span_id, began = token_hex(16), token_hex(8), time.time_ns()
    await places.publish(b'{"invoice":%d}' % number, {"traceparent": f"00-{trace_id}-{span_id}-01"})
    stub.keep(
        Span(
            name=f"publish {places.name}",
            kind="PRODUCER",
            trace_id=trace_id,
            span_id=span_id,
            parent_id="",
            start=began,
            end=time.time_ns(),
            attributes={},
            linked=False,
        )
    )
    return trace_id


async def _arrived(after: Next) -> list[str]:
    """The ids of what arrived, once it is everything or the time is over."""
    found: list[str] = []
    try:
        async with asyncio.timeout(ARRIVAL_TIMEOUT_S):
            while len(found) < EVENTS:
                found.append(await after())
    except TimeoutError:
        pass  # what has arrived is judged
    return found


def _checks(
    receivers: Receivers, arrived: Mapping[str, list[str]], roots: Sequence[Span], traces: Sequence[str]
) -> list[Check]:
    verified = all(arrival.verified for arrival in receivers.arrivals)
    is_one = len(roots) == 1 and roots[0].trace_id in traces and roots[0].name.startswith("publish")
    return [
        *((f"{kind} got all {EVENTS} events", len(set(ids)) == EVENTS) for kind, ids in arrived.items()),
        ("All got them in the same order", len({tuple(dict.fromkeys(ids)) for ids in arrived.values()}) == 1),
        ("Every signature was verified with the standardwebhooks package", verified),
        ("One trace leads from the producer over JetStream to all three", is_one),
    ]
