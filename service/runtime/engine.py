"""Builds and runs the delivery engine, the reader of ordered destinations, upkeep and background tasks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from service.adapters.machine.clock import SystemClock
from service.adapters.postgres.queue.claims import ClaimReader
from service.adapters.postgres.queue.deliveries import PostgresQueue
from service.adapters.postgres.queue.intake import Leasing
from service.adapters.postgres.queue.ordered import PostgresOrderedQueue
from service.adapters.postgres.repositories.background_tasks import PostgresTaskQueue
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.application import contents, replays, statistics
from service.application.ports.destinations import BatchSenders
from service.delivery.attempts import Courier
from service.delivery.engine import Engine
from service.delivery.ordered import OrderedReader
from service.delivery.tasks import TaskRunner
from service.delivery.upkeep import keeping
from service.observability.deliveries import DeliveryTelemetry
from service.observability.health import Health
from service.observability.ordered import BatchTelemetry
from service.observability.tasks import TaskTelemetry
from service.observability.telemetry import Telemetry
from service.runtime.core import Core
from service.runtime.database import served
from service.runtime.destinations import attempts, batches, ordered_senders
from service.settings import Settings

HOLD_FRACTION = 4  # of the lease's margin
MAX_HOLD = timedelta(seconds=2)


@asynccontextmanager
async def delivering(settings: Settings, telemetry: Telemetry, health: Health, core: Core) -> AsyncIterator[Leasing]:
    """Deliver what one database owes while the block lasts. What it gives leases deliveries to this process when they
    are accepted."""
    told = DeliveryTelemetry(telemetry)
    timeout = timedelta(seconds=settings.delivery.attempt_timeout)
    margin = timedelta(seconds=settings.delivery.lease_margin)
    # A lease lasts while its claim is held, while the attempt is made, and while the settlement is retried.
    hold = min(margin / HOLD_FRACTION, MAX_HOLD)
    lease, reader = timeout + margin, ClaimReader(core.vault)
    queue = PostgresQueue(
        core.database.pool,
        core.database.claims,
        reader,
        core.wakeups,
        lease=lease,
        disable_after=timedelta(seconds=settings.delivery.disable_after),
        telemetry=told,
        attempted=core.attempt_news.attempted,
    )
    courier = Courier(
        queue=queue,
        attempts=attempts(core.http_client, settings=settings, egress=core.egress, telemetry=told),
        telemetry=told,
        give_up_after=margin - hold,
    )
    places = _places(settings)
    engine = Engine(
        queue=queue,
        carry=courier.carry,
        capacity=places,
        per_endpoint=min(settings.delivery.per_endpoint, places),
        drain=timedelta(seconds=settings.delivery.drain),
        hold=hold,
    )
    async with (
        queue.running(),
        keeping(core.upkeep, engine=engine, clock=SystemClock(), metrics=telemetry.metrics, database=core.name),
        engine.running() as loop,
        ordered_senders(core.http_client, settings=settings, egress=core.egress) as senders,
        _ordered_reader(settings, telemetry, core, senders, lease=lease).running() as ordered,
        _task_runner(telemetry, core).running() as tasks,
    ):
        health.depends_on("engine", loop, database=core.name)
        health.depends_on("ordered destinations", ordered, database=core.name)
        health.depends_on("background tasks", tasks, database=core.name)
        yield Leasing(engine=engine, reader=reader, lease=lease)


def _places(settings: Settings) -> int:
    """The attempts that may be made at once for one database: an equal share, so that endpoints of one database which
    do not answer take no place from another's."""
    return max(1, settings.delivery.concurrency // max(1, len(served(settings))))


def _ordered_reader(
    settings: Settings, telemetry: Telemetry, core: Core, senders: BatchSenders, *, lease: timedelta
) -> OrderedReader:
    queue = PostgresOrderedQueue(
        core.database.pool,
        core.wakeups.streams,
        core.vault,
        kinds=[sink.kind for sink in senders],
        lease=lease,
    )
    return OrderedReader(
        queue=queue,
        batches=batches(senders, settings=settings, telemetry=BatchTelemetry(telemetry)),
        clock=SystemClock(),
        lease=lease,
        drain=timedelta(seconds=settings.delivery.drain),
    )


def _task_runner(telemetry: Telemetry, core: Core) -> TaskRunner:
    return TaskRunner(
        queue=PostgresTaskQueue(core.database.pool, core.wakeups.tasks),
        open_work=partial(open_unit_of_work, core.database.sessions, core.vault, core.wakeups),
        steps={**replays.steps(), **contents.steps(), **statistics.steps()},
        clock=SystemClock(),
        telemetry=TaskTelemetry(telemetry),
    )
