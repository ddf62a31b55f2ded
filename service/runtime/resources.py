"""Opens what the use cases need, for HTTP and every later way in: some of it once, the rest once for each database."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

from service.adapters.access.tokens import Tokens
from service.adapters.destinations.clients import why_unavailable
from service.adapters.destinations.http.egress import Egress, why_refused
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.ed25519 import Ed25519
from service.adapters.postgres.queue.intake import Leasing, PostgresIntake
from service.adapters.postgres.repositories.payload_rules import PostgresPayloadRules
from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.application.access import TokenVerifier
from service.application.intake import Begin
from service.application.payload_checks import PayloadChecks
from service.application.ports.attempt_news import AttemptNews
from service.application.ports.intake import Intake
from service.application.use_cases import Resources
from service.domain.ids import OrgId
from service.observability.deliveries import DeliveryTelemetry
from service.observability.health import Health
from service.observability.telemetry import Telemetry
from service.offloading.processes import Processes
from service.offloading.threads import Threads
from service.runtime.core import Core
from service.runtime.sources import readable_kinds
from service.settings import Settings

CHECK_PROCESSES = 2
IMPORT_THREADS = 4
CHECK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the use cases need of the process, whichever database they work on."""

    tokens: Tokens
    processes: Processes
    threads: Threads


@contextmanager
def open_tools(settings: Settings, telemetry: Telemetry) -> Iterator[Tools]:
    """The tools, while the block lasts."""
    processes = Processes(workers=CHECK_PROCESSES, seconds=CHECK_TIMEOUT_S, metrics=telemetry.metrics)
    with Threads("imports", workers=IMPORT_THREADS, metrics=telemetry.metrics) as threads:
        yield Tools(tokens=Tokens(settings.jwt_secret()), processes=processes, threads=threads)


@asynccontextmanager
async def open_resources(
    settings: Settings,
    core: Core,
    tools: Tools,
    access: TokenVerifier,
    *,
    telemetry: Telemetry,
    health: Health,
    leasing: Leasing,
    moved: Callable[[OrgId], None] | None = None,
) -> AsyncIterator[Resources]:
    """Open the resources over one database while the block lasts. Messages are accepted with `leasing`. `health` reads
    from them how full the intake's queue is. Of several databases, `moved` is called when an organisation does not live
    in this one."""
    async with AsyncExitStack() as stack:
        told = DeliveryTelemetry(telemetry)
        intake = PostgresIntake(
            core.database.pool,
            accepted=core.wakeups.deliveries.announce,
            numbered=core.wakeups.streams.announce,
            telemetry=told,
            leasing=leasing,
            moved=moved,
        )
        await stack.enter_async_context(intake.running())
        health.watch_intake(lambda: intake.fullness)
        yield resources_over(
            settings,
            tools,
            access,
            core.egress,
            begin=partial(open_unit_of_work, core.database.sessions, core.vault, core.wakeups),
            intake=intake,
            payload_checks=PayloadChecks(PostgresPayloadRules(core.database.pool), tools.processes),
            attempt_news=core.attempt_news,
        )


def resources_over(
    settings: Settings,
    tools: Tools,
    access: TokenVerifier,
    egress: Egress,
    *,
    begin: Begin,
    intake: Intake,
    payload_checks: PayloadChecks,
    attempt_news: AttemptNews,
) -> Resources:
    """The resources with these of a database."""
    return Resources(
        begin=begin,
        intake=intake,
        payload_checks=payload_checks,
        access=access,
        tokens=tools.tokens,
        clock=SystemClock(),
        new_id=new_id,
        key_pairs=Ed25519(),
        processes=tools.processes,
        threads=tools.threads,
        attempt_news=attempt_news,
        lacks_client=why_unavailable,
        refuses_url=partial(why_refused, egress=egress),
        source_kinds=readable_kinds(),
        https_only=settings.endpoints.https_only,
        trace_url=settings.observability.trace_url,
        logs_url=settings.observability.logs_url,
    )
