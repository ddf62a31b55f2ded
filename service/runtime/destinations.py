"""The tables from each kind of destination to its sender, and the objects that make attempts and batches with them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from httpx import AsyncClient

from service.adapters.destinations.http.egress import Egress, GuardedResolver, LookUp
from service.adapters.destinations.http.fifo import FifoSender
from service.adapters.destinations.http.sender import HttpSender
from service.adapters.destinations.kafka.sender import KafkaSender
from service.adapters.destinations.kept import KeptConnections
from service.adapters.destinations.nats.sender import NatsSender
from service.adapters.destinations.network import Dialer
from service.adapters.destinations.postgresql.sender import PostgresSender
from service.adapters.destinations.rabbitmq.sender import RabbitMqSender
from service.adapters.destinations.s3.sender import S3Sender
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.ed25519 import Ed25519
from service.application.ports.destinations import BatchSenders, Senders
from service.delivery.attempts import Attempts
from service.delivery.batches import Batches
from service.domain.destinations import HttpDestination
from service.domain.retries import Schedule
from service.domain.signatures import Signing
from service.domain.sinks import FifoSink, KafkaSink, NatsSink, PostgresSink, PushedSink, RabbitMqSink, S3Sink
from service.observability.deliveries import DeliveryTelemetry
from service.observability.ordered import BatchTelemetry
from service.settings import Settings


def senders(client: AsyncClient, *, timeout: float, egress: Egress) -> Senders:
    """The sender of each kind of destination. `timeout` is in seconds and bounds a whole attempt."""
    return {
        HttpDestination: HttpSender(client, timeout=timeout, egress=egress),
    }


@asynccontextmanager
async def ordered_senders(client: AsyncClient, *, settings: Settings, egress: Egress) -> AsyncIterator[BatchSenders]:
    """The sender of each kind of ordered destination that is sent batches, over the connections of endpoints where it
    is called by HTTP."""
    timeout = settings.delivery.attempt_timeout
    http = HttpSender(client, timeout=timeout, egress=egress)
    fifo = FifoSender(http, signing=_signing(settings), clock=SystemClock())
    async with batch_senders(client, timeout=timeout, egress=egress) as others:
        yield {**others, FifoSink: fifo}


@asynccontextmanager
async def batch_senders(
    client: AsyncClient,
    *,
    timeout: float,  # noqa: ASYNC109 - each batch's, not this function's
    egress: Egress,
    look_up: LookUp | None = None,
) -> AsyncIterator[BatchSenders]:
    """The sender of each kind of ordered destination but the receivers of webhooks, and their connections while the
    block lasts.

    `timeout` is in seconds and bounds the sending of a batch. `look_up` resolves names, by default as this machine
    does.
    """
    resolver = GuardedResolver(egress, look_up=look_up)
    dialer = Dialer(egress, resolver)
    kept: dict[type[PushedSink], KeptConnections[Any, Any]] = {
        RabbitMqSink: RabbitMqSender(dialer, timeout=timeout),
        PostgresSink: PostgresSender(dialer, timeout=timeout),
        KafkaSink: KafkaSender(dialer, timeout=timeout),
        NatsSink: NatsSender(dialer, timeout=timeout),
    }
    async with AsyncExitStack() as stack:
        stack.push_async_callback(resolver.close)
        for sender in kept.values():
            stack.push_async_callback(sender.close)
        yield {**kept, S3Sink: S3Sender(client, timeout=timeout)}


def attempts(client: AsyncClient, *, settings: Settings, egress: Egress, telemetry: DeliveryTelemetry) -> Attempts:
    """Makes attempts, for the engine and for `send-example`, with the signatures and retry schedule of the settings."""
    return Attempts(
        senders=senders(client, timeout=settings.delivery.attempt_timeout, egress=egress),
        clock=SystemClock(),
        new_id=new_id,
        telemetry=telemetry,
        schedule=_schedule(settings),
        signing=_signing(settings),
    )


def batches(senders: BatchSenders, *, settings: Settings, telemetry: BatchTelemetry) -> Batches:
    """Sends batches to ordered destinations, with the retry schedule of the settings."""
    return Batches(
        senders=senders,
        clock=SystemClock(),
        telemetry=telemetry,
        schedule=_schedule(settings),
        disable_after=timedelta(seconds=settings.delivery.disable_after),
    )


def _schedule(settings: Settings) -> Schedule:
    return tuple(timedelta(seconds=seconds) for seconds in settings.delivery.retry_schedule)


def _signing(settings: Settings) -> Signing:
    return Signing(families=settings.delivery.signature_headers, ed25519=Ed25519().sign)
