"""Opens what the use cases need, once per process, for HTTP and every later way in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from service.adapters.access.tokens import Tokens
from service.adapters.destinations.clients import why_unavailable
from service.adapters.destinations.http.egress import why_refused
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.ed25519 import Ed25519
from service.adapters.postgres.queue.intake import Leasing, PostgresIntake
from service.adapters.postgres.repositories.payload_rules import PostgresPayloadRules
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.application.payload_checks import PayloadChecks
from service.application.use_cases import Resources
from service.observability.deliveries import DeliveryTelemetry
from service.observability.health import Health
from service.observability.telemetry import Telemetry
from service.offloading.processes import Processes
from service.offloading.threads import Threads
from service.runtime.access import open_verifier
from service.runtime.core import Core
from service.runtime.sources import readable_kinds
from service.settings import Settings

CHECK_PROCESSES = 2
IMPORT_THREADS = 4
CHECK_TIMEOUT_S = 5.0


@asynccontextmanager
async def open_resources(
    settings: Settings, core: Core, telemetry: Telemetry, health: Health, leasing: Leasing
) -> AsyncIterator[Resources]:
    """Open the resources while the block lasts. Messages are accepted with `leasing`. `health` reads from them how full
    the intake's queue is."""
    async with AsyncExitStack() as stack:
        told = DeliveryTelemetry(telemetry)
        intake = PostgresIntake(
            core.database.pool,
            accepted=core.wakeups.deliveries.announce,
            numbered=core.wakeups.streams.announce,
            telemetry=told,
            leasing=leasing,
        )
        await stack.enter_async_context(intake.running())
        tokens = Tokens(settings.jwt_secret())
        access = await stack.enter_async_context(open_verifier(settings, core, tokens))
        processes = Processes(workers=CHECK_PROCESSES, seconds=CHECK_TIMEOUT_S, metrics=telemetry.metrics)
        threads = stack.enter_context(Threads("imports", workers=IMPORT_THREADS, metrics=telemetry.metrics))
        health.watch_intake(lambda: intake.fullness)
        yield Resources(
            begin=partial(open_unit_of_work, core.database.sessions, core.vault, core.wakeups),
            intake=intake,
            payload_checks=PayloadChecks(PostgresPayloadRules(core.database.pool), processes),
            access=access,
            tokens=tokens,
            clock=SystemClock(),
            new_id=new_id,
            key_pairs=Ed25519(),
            processes=processes,
            threads=threads,
            attempt_news=core.attempt_news,
            lacks_client=why_unavailable,
            refuses_url=partial(why_refused, egress=core.egress),
            source_kinds=readable_kinds(),
            https_only=settings.endpoints.https_only,
            trace_url=settings.observability.trace_url,
            logs_url=settings.observability.logs_url,
        )
