"""What the API is handed for as long as it serves, and the order in which that is opened."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from service.adapters.access.tokens import Tokens
from service.adapters.destinations.http.egress import why_refused
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.ed25519 import Ed25519
from service.adapters.postgres.queue.intake import PostgresIntake
from service.adapters.postgres.repositories.payload_rules import PostgresPayloadRules
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork
from service.api.services import Services
from service.application.payload_checks import PayloadChecks
from service.observability.deliveries import DeliveryTelemetry
from service.observability.health import Health
from service.observability.telemetry import Telemetry
from service.offloading.processes import Processes
from service.offloading.threads import Threads
from service.runtime.access import keeping_the_door
from service.runtime.core import open_core
from service.runtime.database import DatabaseUrls
from service.runtime.destinations import attempts
from service.runtime.engine import delivering
from service.settings import Settings

PROCESSES = 2
THREADS = 4
LONGEST_COMPUTATION = 5.0


@asynccontextmanager
async def open_services(
    settings: Settings, database: DatabaseUrls, telemetry: Telemetry, health: Health
) -> AsyncIterator[Services]:
    """The application's lifespan: what the API needs, and the engine beside it."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, database, telemetry, health))
        told = DeliveryTelemetry(telemetry)
        intake = PostgresIntake(core.database.pool, accepted=core.wakeups.deliveries.announce, telemetry=told)
        await stack.enter_async_context(delivering(settings, telemetry, health, core))
        await stack.enter_async_context(intake.running())
        tokens = Tokens(settings.jwt_secret())
        access = await stack.enter_async_context(keeping_the_door(settings, core, tokens))
        processes = Processes(workers=PROCESSES, seconds=LONGEST_COMPUTATION, metrics=telemetry.metrics)
        stack.callback(processes.close)
        threads = stack.enter_context(Threads("imports", workers=THREADS, metrics=telemetry.metrics))
        # An answer that never ends would hold up the leaving of everybody else.
        health.when_draining(core.attempt_news.end)
        health.watch_intake(lambda: intake.fullness)
        health.started()
        yield Services(
            sessions=core.database.sessions,
            unit_of_work=partial(PostgresUnitOfWork, vault=core.vault, wakeups=core.wakeups),
            http_client=core.http_client,
            intake=intake,
            access=access,
            tokens=tokens,
            clock=SystemClock(),
            new_id=new_id,
            key_pairs=Ed25519(),
            attempts=partial(attempts, settings=settings, egress=core.egress, telemetry=told),
            payload_checks=PayloadChecks(PostgresPayloadRules(core.database.pool), processes),
            processes=processes,
            threads=threads,
            attempt_news=core.attempt_news,
            refuses_url=partial(why_refused, egress=core.egress),
            https_only=settings.endpoints.https_only,
            trace_url=settings.observability.trace_url,
        )
