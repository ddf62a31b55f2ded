"""Ordered destinations of every kind to try a sender on: somewhere in the network, or a real program."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Protocol

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.destinations.http.fifo import FifoSender
from service.adapters.destinations.http.sender import HttpSender
from service.adapters.machine.clock import SystemClock
from service.adapters.machine.ed25519 import Ed25519
from service.application.ports.destinations import BatchSenders
from service.domain.batches import Batch, StreamMessage
from service.domain.ids import ApplicationId, DestinationId, MessageId
from service.domain.signatures import Signing
from service.domain.sinks import FifoSink, KafkaSink, NatsSink, PostgresSink, PushedSink, RabbitMqSink, S3Sink
from service.runtime.destinations import batch_senders
from tests.support.certificates import NO_AUTHORITIES

SECRET = "marker-of-a-secret"
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

# A destination of each kind at an address, whoever is there.
AT: Mapping[type[PushedSink], Callable[[str, int], PushedSink]] = {
    FifoSink: lambda host, port: FifoSink(url=f"http://{host}:{port}/", headers={"authorization": SECRET}),
    RabbitMqSink: lambda host, port: RabbitMqSink(uri=f"amqp://user:{SECRET}@{host}:{port}/%2F", routing_key="queue"),
    PostgresSink: lambda host, port: PostgresSink(
        url=f"postgres://user@{host}:{port}/database", password=SECRET, table_name="events"
    ),
    S3Sink: lambda host, port: S3Sink(
        bucket="bucket",
        region="eu-central-1",
        access_key_id="user",
        secret_access_key=SECRET,
        endpoint_url=f"http://{host}:{port}",
    ),
    KafkaSink: lambda host, port: KafkaSink(
        bootstrap_servers=(f"{host}:{port}",),
        topic="topic",
        sasl_mechanism="PLAIN",
        username="user",
        password=SECRET,
    ),
    NatsSink: lambda host, port: NatsSink(
        servers=(f"nats://{host}:{port}",), subject="subject", username="user", password=SECRET
    ),
}


def a_batch(*payloads: bytes, first: int = 1, to: str = "dest_1", content_type: str | None = None) -> Batch:
    """A batch of messages at positions from `first` on."""
    return Batch(
        app_id=ApplicationId("app_1"),
        destination_id=DestinationId(to),
        headers={},
        messages=tuple(
            StreamMessage(
                position=position,
                id=MessageId(f"msg_{position}"),
                event_type="invoice.paid",
                payload=payload,
                content_type=content_type,
                created_at=NOON,
                event_id=f"event-{position}",
                channels=("one", "two"),
                traceparent=TRACEPARENT,
            )
            for position, payload in enumerate(payloads, first)
        ),
    )


@asynccontextmanager
async def local_senders(*, seconds: float, allowed: str = "127.0.0.0/8") -> AsyncIterator[BatchSenders]:
    """The senders of all kinds, which may call these addresses and no others; a batch takes that long at most."""
    local = Egress([ip_network(allowed)])
    async with (
        open_http_client(local, concurrency=8, ssl_context=NO_AUTHORITIES) as client,
        batch_senders(client, timeout=seconds, egress=local) as table,
    ):
        http = HttpSender(client, timeout=seconds, egress=local)
        signing = Signing(families=("webhook",), ed25519=Ed25519().sign)
        yield {**table, FifoSink: FifoSender(http, signing=signing, clock=SystemClock())}


@dataclass(slots=True)
class Listener:
    """Who listens at a port of this machine, and is no program of any kind."""

    port: int
    called: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def silent() -> AsyncIterator[Listener]:
    """Accepts connections, and never says a word."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.called.set()
        while await reader.read(65_536):
            pass
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        listener = Listener(server.sockets[0].getsockname()[1])
        yield listener


@asynccontextmanager
async def hanging_up() -> AsyncIterator[Listener]:
    """Accepts connections, and closes them at once."""

    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.called.set()
        writer.close()

    async with await asyncio.start_server(leave, "127.0.0.1", 0) as server:
        listener = Listener(server.sockets[0].getsockname()[1])
        yield listener


@asynccontextmanager
async def nobody() -> AsyncIterator[Listener]:
    """A port at which nobody listens, and nobody will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield Listener(bound.getsockname()[1])


class BatchStand(Protocol):
    """A real program, with destinations in it that do as they are told."""

    def taking(self) -> PushedSink:
        """A destination that takes everything; the same at each call."""
        ...

    def refusing(self) -> PushedSink:
        """A destination that refuses every message."""
        ...

    def with_another_password(self) -> PushedSink:
        """The one that takes everything, for somebody with the password `SECRET`, which is wrong."""
        ...

    def carried(self, payload: bytes) -> bytes:
        """The payload as this kind carries it: the same bytes, if it can."""
        ...

    async def arrived(self) -> list[tuple[str, bytes]]:
        """The id and payload of each message in the destination that takes everything, in their order."""
        ...


@asynccontextmanager
async def passing_on(port: int, *, host: str) -> AsyncIterator[int]:
    """A port of another address of this machine, from which everything goes to `port` of 127.0.0.1 and back."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, ours))
            group.create_task(_copy(theirs, writer))

    async with await asyncio.start_server(meet, host, 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while read := await reader.read(65_536):
            writer.write(read)
    writer.close()
