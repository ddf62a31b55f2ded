"""Reads sources while a process serves: the table from each kind of broker to its consumers."""

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from secrets import token_hex
from typing import Any, assert_never

from service.adapters.destinations.http.egress import GuardedResolver
from service.adapters.destinations.network import Dialer
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.postgres.repositories.sources import PostgresSourceLedger
from service.application.ports.sources import OpenConsumer, SourceConsumer
from service.application.use_cases import Resources, submissions
from service.domain.sources import Source, SourceKind
from service.observability.health import Health
from service.observability.sources import SourceTelemetry
from service.observability.telemetry import Telemetry
from service.runtime.core import Core
from service.sources.reading import SourceReading

# The package that the client of each kind is in; an extra of that name brings it.
# What a broker may hand out before it hears from us: RabbitMQ 768 messages (`PREFETCH`), each as large as is taken.
MOST_FED_BYTES = 1024 * 1024 * 1024
CLIENTS = {SourceKind.NATS: "nats", SourceKind.KAFKA: "aiokafka", SourceKind.RABBITMQ: "aiormq"}


def readable_kinds() -> tuple[SourceKind, ...]:
    """The kinds of sources whose clients are installed."""
    return tuple(kind for kind, package in CLIENTS.items() if find_spec(package) is not None)


def consumers(dialer: Dialer) -> Mapping[SourceKind, OpenConsumer]:
    """The consumers of each kind whose client is installed."""
    return {kind: partial(_opened, kind, dialer) for kind in readable_kinds()}


def _opened(
    kind: SourceKind, dialer: Dialer, source: Source, origin: Any
) -> AbstractAsyncContextManager[SourceConsumer]:
    """A consumer. Its client is loaded by the first source of the kind: no other process shall wait for it."""
    match kind:
        case SourceKind.NATS:
            from service.adapters.sources.nats import NatsConsumers

            return NatsConsumers(dialer)(source, origin)
        case SourceKind.KAFKA:
            from service.adapters.sources.kafka import KafkaConsumers

            return KafkaConsumers(dialer)(source, origin)
        case SourceKind.RABBITMQ:
            from service.adapters.sources.rabbitmq import RabbitMqConsumers

            return RabbitMqConsumers(dialer)(source, origin)
        case _:
            assert_never(kind)


@asynccontextmanager
async def reading_sources(
    core: Core, resources: Resources, telemetry: Telemetry, told: SourceTelemetry, health: Health
) -> AsyncIterator[None]:
    """Read all sources of one database while the block lasts. When the process begins to shut down, no more messages
    are taken."""
    async with AsyncExitStack() as stack:
        resolver = GuardedResolver(core.egress, metrics=telemetry.metrics)
        stack.push_async_callback(resolver.close)
        reading = SourceReading(
            ledger=PostgresSourceLedger(core.database.pool, core.vault, core.wakeups.sources),
            consumers=consumers(Dialer(core.egress, resolver, most=MOST_FED_BYTES)),
            submissions=submissions(resources),
            telemetry=told,
            clock=SystemClock(),
            new_id=new_id,
            name=f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}",
        )
        loop = await stack.enter_async_context(reading.running())
        health.depends_on("sources", loop, database=core.name)
        health.when_draining(reading.stop)
        yield
