"""Ordered destinations over a real PostgreSQL: added, read, and asked how far they are."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.destinations.http.fifo import FifoSender
from service.adapters.destinations.http.sender import HttpSender
from service.adapters.machine.clock import SystemClock
from service.adapters.machine.ed25519 import Ed25519
from service.adapters.postgres.queue.intake import accepting
from service.adapters.postgres.queue.ordered import PostgresOrderedQueue
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.adapters.postgres.server.database import Database, dsn
from service.adapters.postgres.server.wakeups import Wakeups
from service.application.ports.destinations import BatchSenders
from service.delivery.batches import Batches
from service.delivery.ordered import OrderedReader
from service.domain.ids import ApplicationId
from service.domain.messages import NewMessage
from service.domain.ordered import OrderedDestination
from service.domain.signatures import Signing
from service.domain.sinks import FifoSink
from service.observability.ordered import BatchTelemetry
from service.observability.telemetry import Telemetry
from tests.support.factories import SECRET, VAULT
from tests.support.kept import an_application, an_ordered_destination
from tests.support.patience import patient

LOCAL = Egress([ip_network("127.0.0.0/8")])
SCHEDULE = (timedelta(seconds=0.05), timedelta(seconds=0.1))
LEASE = timedelta(seconds=30)
TIMEOUT = patient(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """A database with the wake-ups of one process."""

    database: Database
    wakeups: Wakeups
    telemetry: Telemetry
    senders: BatchSenders

    async def add(self, url: str, **changed: Any) -> OrderedDestination:
        """A destination of an application of its own, from now on."""
        application = an_application()
        async with open_unit_of_work(self.database.sessions, VAULT, self.wakeups) as work:
            await work.applications.add(application)
            position = await work.destinations.position_at(application.id)
            destination = an_ordered_destination(
                application, **{"sink": FifoSink(url=url), "position": position, **changed}
            )
            await work.destinations.add(destination, [SECRET])
        return destination

    async def change(self, destination: OrderedDestination, **changed: Any) -> None:
        """As a request does."""
        async with open_unit_of_work(self.database.sessions, VAULT, self.wakeups) as work:
            known = await work.destinations.get(destination.app_id, destination.id, lock=True)
            assert known is not None
            await work.destinations.replace(replace(known, **changed, updated_at=SystemClock().now()))

    async def move(self, destination: OrderedDestination, position: int) -> None:
        """Back, or ahead."""
        async with open_unit_of_work(self.database.sessions, VAULT, self.wakeups) as work:
            await work.destinations.move(destination, position=position)

    async def now(self, destination: OrderedDestination) -> OrderedDestination:
        """As it is stored."""
        async with open_unit_of_work(self.database.sessions, VAULT) as work:
            found = await work.destinations.get(destination.app_id, destination.id)
        assert found is not None
        return found

    async def accept(self, *messages: NewMessage) -> None:
        """In one commit."""
        await self.database.pool.fetch(*accepting(messages))
        self.wakeups.streams.announce()

    async def ids(self, app_id: ApplicationId) -> list[str]:
        """The stream, in order."""
        rows = await self.database.pool.fetch(
            "SELECT message_id FROM stream_message WHERE app_id = $1 ORDER BY position", app_id
        )
        return [row["message_id"] for row in rows]

    async def until_at(self, destination: OrderedDestination, position: int) -> OrderedDestination:
        """Once it has done everything up to that position."""
        async with asyncio.timeout(patient(20)):
            while (found := await self.now(destination)).position < position:  # noqa: ASYNC110  # the reader's doing
                await asyncio.sleep(0.02)
        return found

    def queue(self, lease: timedelta = LEASE) -> PostgresOrderedQueue:
        """The queue as a process has it."""
        return PostgresOrderedQueue(
            self.database.pool,
            self.wakeups.streams,
            VAULT,
            kinds=[sink.kind for sink in self.senders],
            lease=lease,
            poll=0.2,
        )

    @asynccontextmanager
    async def reading(
        self,
        *,
        senders: BatchSenders | None = None,
        schedule: Sequence[timedelta] = SCHEDULE,
        disable_after: timedelta = timedelta(days=5),
        drain: timedelta = timedelta(seconds=5),
        lease: timedelta = LEASE,
        turn: timedelta = timedelta(seconds=5),
        places: int = 8,
    ) -> AsyncIterator[asyncio.Task[None]]:
        """A reader, while the block lasts."""
        batches = Batches(
            senders=senders or self.senders,
            clock=SystemClock(),
            telemetry=BatchTelemetry(self.telemetry),
            schedule=tuple(schedule),
            disable_after=disable_after,
        )
        reader = OrderedReader(
            queue=self.queue(lease),
            batches=batches,
            clock=SystemClock(),
            lease=lease,
            drain=drain,
            turn=turn,
            places=places,
        )
        async with reader.running() as loop:
            yield loop


@asynccontextmanager
async def open_streams(database: Database, url: str, telemetry: Telemetry) -> AsyncIterator[Streams]:
    """The streams of the database at `url`, with a sender over real sockets."""
    async with open_http_client(LOCAL, concurrency=16, metrics=telemetry.metrics) as client:
        http = HttpSender(client, timeout=TIMEOUT, egress=LOCAL)
        signing = Signing(families=("webhook",), ed25519=Ed25519().sign)
        senders: BatchSenders = {FifoSink: FifoSender(http, signing=signing, clock=SystemClock())}
        yield Streams(database=database, wakeups=Wakeups(dsn(url)), telemetry=telemetry, senders=senders)
