"""The composition root: opens what a role needs, passes it in, closes it in reverse. Nothing else opens anything."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from ipaddress import ip_network
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from httpx import AsyncClient
from starlette.middleware import Middleware
from starlette.routing import Route

from service.adapters.clock import SystemClock, new_id
from service.adapters.doorkeeper import Doorkeeper
from service.adapters.ed25519 import Ed25519
from service.adapters.embedded import open_embedded
from service.adapters.http.client import open_http_client
from service.adapters.http.egress import Egress
from service.adapters.http.sender import HttpSender
from service.adapters.issuers import FETCH_EVERY, Issuer, Trust
from service.adapters.postgres import schema
from service.adapters.postgres.attempt_news import AttemptNews
from service.adapters.postgres.background_tasks import PostgresTaskQueue
from service.adapters.postgres.engine import Database, as_sqlalchemy, dsn, open_database
from service.adapters.postgres.intake import PostgresIntake
from service.adapters.postgres.payload_rules import PostgresPayloadRules
from service.adapters.postgres.queue import PostgresQueue
from service.adapters.postgres.revocations import RememberedRevocations
from service.adapters.postgres.unit_of_work import PostgresUnitOfWork, open_unit_of_work
from service.adapters.postgres.upkeep import PostgresUpkeep
from service.adapters.postgres.wakeups import Wakeups
from service.adapters.tokens import Tokens
from service.adapters.vault import Vault
from service.api.app import create_app
from service.api.connections import listening
from service.api.services import Services
from service.application import contents, replays, statistics
from service.application.examples import ExampleCall
from service.application.payload_checks import PayloadChecks
from service.application.signing import Signing
from service.delivery.attempts import Courier
from service.delivery.engine import Engine
from service.delivery.tasks import TaskRunner
from service.delivery.upkeep import every, keeping
from service.observability.admin import Admin
from service.observability.deliveries import DeliveryTelemetry
from service.observability.eventloop import sample_lag
from service.observability.health import Health
from service.observability.instrumentation import instrument, instrument_engine
from service.observability.logging import Logging, configure_logging
from service.observability.middleware import CorrelationMiddleware
from service.observability.ops import serving
from service.observability.processes import Processes
from service.observability.profiling import Profiling
from service.observability.tasks import TaskTelemetry
from service.observability.telemetry import Telemetry, open_telemetry
from service.observability.threads import Threads
from service.settings import Settings

KEPT = timedelta(days=97)
DRAIN = timedelta(seconds=10)
CHECK_EVERY = timedelta(seconds=2)
LOOK_FOR_REVOCATIONS = timedelta(seconds=1)
GRACE = 10
PROCESSES = 2
THREADS = 4
LONGEST_COMPUTATION = 5.0

_log = structlog.stdlib.get_logger("relevo.runtime")


async def serve(settings: Settings) -> None:
    """Serve the API and deliver, until SIGTERM or Ctrl-C; then leave in good order."""
    async with open_observed(settings, role="serve") as (telemetry, health, operators):
        await _run(assemble(settings, telemetry, health, operators), settings, health)


def assemble(settings: Settings, telemetry: Telemetry, health: Health, operators: Sequence[Route] = ()) -> FastAPI:
    """The application, instrumented; it delivers as well, while its lifespan lasts."""
    app = create_app(
        partial(_open_services, settings, telemetry, health),
        middleware=[Middleware(CorrelationMiddleware, telemetry=telemetry)],
        cors_origins=settings.server.cors_origins,
        routes=[*health.routes(), *(operators if settings.server.ops_port is None else ())],
    )
    instrument(app, telemetry)
    return app


async def worker(settings: Settings) -> None:
    """Deliver only, until SIGTERM or Ctrl-C. Probes and metrics are served where `RELEVO_OPS_PORT` says."""
    async with open_observed(settings, role="worker") as (telemetry, health, _), AsyncExitStack() as stack:
        core = await stack.enter_async_context(_open_core(settings, telemetry, health))
        await stack.enter_async_context(_delivering(settings, telemetry, health, core))
        health.started()
        _log.info("worker.ready")
        await _until_told_to_stop(health)
        _log.info("worker.stopping")


@asynccontextmanager
async def open_observed(settings: Settings, *, role: str) -> AsyncIterator[tuple[Telemetry, Health, list[Route]]]:
    """Telemetry first in and last out, so that everything in between is told. The routes are the operators' own, which
    the port for operators serves already where there is one."""
    async with open_telemetry(role=role, version=version("relevo"), environ=os.environ) as telemetry:
        logging = configure_logging(
            level=settings.observability.log_level,
            logger_provider=telemetry.logger_provider if telemetry.exports_logs else None,
        )
        asyncio.get_running_loop().set_exception_handler(_tell_of_lost_errors)
        health = Health(registry=telemetry.registry)
        lag = asyncio.create_task(sample_lag(telemetry.metrics), name="event loop lag")
        try:
            operators = _operators(settings, logging)
            async with _ops(settings, [*health.routes(), *operators]):
                yield telemetry, health, operators
        finally:
            lag.cancel()


def _operators(settings: Settings, logging: Logging) -> list[Route]:
    token = settings.observability.admin_token
    if token is None:
        return []
    return Admin(token=token.get_secret_value(), logging=logging, profiling=Profiling()).routes()


def _ops(settings: Settings, routes: list[Route]) -> AbstractAsyncContextManager[None]:
    port = settings.server.ops_port
    return nullcontext() if port is None else serving(routes, host=settings.server.host, port=port)


def _tell_of_lost_errors(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio would write the error's text, which may hold what nobody should read."""
    error = context.get("exception")
    _log.error("loop.error", what=context.get("message"), error_type=type(error).__qualname__, exc_info=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What both roles share."""

    database: Database
    wakeups: Wakeups
    attempt_news: AttemptNews
    vault: Vault
    http_client: AsyncClient
    egress: Egress
    upkeep: PostgresUpkeep


@asynccontextmanager
async def _open_core(settings: Settings, telemetry: Telemetry, health: Health) -> AsyncIterator[Core]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_database_url(settings))
        database = await stack.enter_async_context(open_database(url, waited=telemetry.metrics.pool_waited))
        stack.enter_context(instrument_engine(database.engine, telemetry))
        for name, gauges in database.pools().items():
            telemetry.metrics.observe_pool(name, size=gauges.size, checked_out=gauges.checked_out)
        wakeups = Wakeups(dsn(url))
        await stack.enter_async_context(wakeups.running())
        attempt_news = AttemptNews(dsn(url))
        await stack.enter_async_context(attempt_news.running())
        egress = Egress(settings.delivery.egress_allow)
        client = await stack.enter_async_context(
            open_http_client(egress, concurrency=settings.delivery.concurrency, metrics=telemetry.metrics)
        )
        upkeep = PostgresUpkeep(database.pool, kept=KEPT)
        await upkeep.make_room(now=SystemClock().now())
        await stack.enter_async_context(every(CHECK_EVERY, partial(health.check_database, upkeep.ping)))
        yield Core(
            database=database,
            wakeups=wakeups,
            attempt_news=attempt_news,
            vault=Vault(settings.secret_keys()),
            http_client=client,
            egress=egress,
            upkeep=upkeep,
        )


@asynccontextmanager
async def _database_url(settings: Settings) -> AsyncIterator[str]:
    """The embedded server's, migrated, or the configured one's, if its schema fits."""
    if settings.storage.database_url is None:
        async with open_embedded(settings.storage.data_dir) as url:
            await schema.migrate(url)
            yield url
    else:
        url = as_sqlalchemy(settings.storage.database_url.get_secret_value())
        await schema.check(url)
        yield url


@asynccontextmanager
async def _open_services(settings: Settings, telemetry: Telemetry, health: Health) -> AsyncIterator[Services]:
    """The application's lifespan: what the API needs, and the engine beside it."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(_open_core(settings, telemetry, health))
        told = DeliveryTelemetry(telemetry)
        intake = PostgresIntake(core.database.pool, accepted=core.wakeups.announce, telemetry=told)
        await stack.enter_async_context(_delivering(settings, telemetry, health, core))
        await stack.enter_async_context(intake.running())
        tokens = Tokens(settings.jwt_secret())
        access = await stack.enter_async_context(_keeping_the_door(settings, core, tokens))
        processes = Processes(workers=PROCESSES, seconds=LONGEST_COMPUTATION, metrics=telemetry.metrics)
        stack.callback(processes.close)
        threads = stack.enter_context(Threads("imports", workers=THREADS, metrics=telemetry.metrics))
        # An answer that never ends would hold up the leaving of everybody else.
        health.when_draining(core.attempt_news.end)
        health.watch_intake(lambda: intake.fullness)
        health.started()
        yield Services(
            sessions=core.database.sessions,
            unit_of_work=partial(PostgresUnitOfWork, vault=core.vault),
            http_client=core.http_client,
            intake=intake,
            access=access,
            tokens=tokens,
            clock=SystemClock(),
            new_id=new_id,
            wake=core.wakeups.announce,
            key_pairs=Ed25519(),
            sender=partial(HttpSender, timeout=settings.delivery.attempt_timeout, egress=core.egress),
            example_call=ExampleCall(signing=_signing(settings), telemetry=told, clock=SystemClock(), new_id=new_id),
            payload_checks=PayloadChecks(PostgresPayloadRules(core.database.pool), processes),
            processes=processes,
            threads=threads,
            attempt_news=core.attempt_news,
            https_only=settings.endpoints.https_only,
            trace_url=settings.observability.trace_url,
        )


@asynccontextmanager
async def _keeping_the_door(settings: Settings, core: Core, tokens: Tokens) -> AsyncIterator[Doorkeeper]:
    """Whoever comes in while the block lasts; what other processes revoke is known a second later."""
    async with AsyncExitStack() as stack:
        doorkeeper = Doorkeeper(
            tokens,
            revocations=RememberedRevocations(core.database.pool),
            clock=SystemClock(),
            issuer=await stack.enter_async_context(_trusting(settings)),
        )
        await doorkeeper.refresh()
        await stack.enter_async_context(every(LOOK_FOR_REVOCATIONS, doorkeeper.refresh))
        yield doorkeeper


@asynccontextmanager
async def _trusting(settings: Settings) -> AsyncIterator[Issuer | None]:
    """The issuer of the settings, and a client of its own for it: whom we trust may be on a private network, and that
    must not open the network to the endpoints of tenants."""
    oidc = settings.oidc
    if oidc.issuer is None or oidc.audience is None:
        yield None
        return
    trust = Trust(issuer=oidc.issuer, audience=oidc.audience, org_claim=oidc.org_claim, role_claim=oidc.role_claim)
    async with open_http_client(Egress([ip_network("0.0.0.0/0"), ip_network("::/0")]), concurrency=1) as client:
        issuer = Issuer(client, trust, clock=SystemClock())
        async with every(FETCH_EVERY, issuer.refresh):
            yield issuer


@asynccontextmanager
async def _delivering(settings: Settings, telemetry: Telemetry, health: Health, core: Core) -> AsyncIterator[None]:
    told = DeliveryTelemetry(telemetry)
    timeout = timedelta(seconds=settings.delivery.attempt_timeout)
    margin = timedelta(seconds=settings.delivery.lease_margin)
    queue = PostgresQueue(
        core.database.pool,
        core.vault,
        core.wakeups,
        lease=timeout + margin,
        disable_after=timedelta(seconds=settings.delivery.disable_after),
        telemetry=told,
        attempted=core.attempt_news.attempted,
    )
    courier = Courier(
        queue=queue,
        sender=HttpSender(core.http_client, timeout=settings.delivery.attempt_timeout, egress=core.egress),
        clock=SystemClock(),
        new_id=new_id,
        telemetry=told,
        schedule=tuple(timedelta(seconds=seconds) for seconds in settings.delivery.retry_schedule),
        signing=_signing(settings),
        patience=margin,
    )
    engine = Engine(
        queue=queue,
        carry=courier.carry,
        capacity=settings.delivery.concurrency,
        per_endpoint=settings.delivery.per_endpoint,
        drain=DRAIN,
    )
    async with (
        queue.running(),
        keeping(core.upkeep, engine=engine, clock=SystemClock(), metrics=telemetry.metrics),
        engine.running() as loop,
        _task_runner(telemetry, core).running() as tasks,
    ):
        health.depends_on("engine", loop)
        health.depends_on("background tasks", tasks)
        yield


def _task_runner(telemetry: Telemetry, core: Core) -> TaskRunner:
    return TaskRunner(
        queue=PostgresTaskQueue(core.database.pool),
        open_work=partial(open_unit_of_work, core.database.sessions, core.vault),
        steps={**replays.steps(), **contents.steps(), **statistics.steps()},
        clock=SystemClock(),
        done=core.wakeups.announce,
        telemetry=TaskTelemetry(telemetry),
    )


def _signing(settings: Settings) -> Signing:
    return Signing(families=settings.delivery.signature_headers, key_pairs=Ed25519())


async def _run(app: FastAPI, settings: Settings, health: Health) -> None:
    config = listening(app, host=settings.server.host, port=settings.server.port, grace=GRACE)
    server = _Server(config, stopping=health.draining)
    # uvicorn raises a captured signal once more when it is done; by then there is nothing left to interrupt.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    await server.serve()
    if not server.started:
        sys.exit(3)


class _Server(uvicorn.Server):
    """Tells that it is on its way out the moment it is asked to stop."""

    def __init__(self, config: uvicorn.Config, *, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping()
        super().handle_exit(sig, frame)


async def _until_told_to_stop(health: Health) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    await told.wait()
    health.draining()
