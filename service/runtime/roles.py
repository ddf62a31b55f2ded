"""The roles of a process, from start to signal: `serve` answers the API and delivers, `worker` only delivers."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from math import ceil

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import Route

from service.observability.forwarding import forwarding
from service.observability.health import Health
from service.observability.instrumentation import instrument, wants_more
from service.observability.middleware import CorrelationMiddleware
from service.observability.refusals import RefusedRequests
from service.observability.telemetry import Telemetry
from service.runtime.answering import answer
from service.runtime.core import Outgoing, open_core, open_outgoing
from service.runtime.database import DatabaseUrls
from service.runtime.databases import all_kept_open, kept_over_each
from service.runtime.engine import delivering
from service.runtime.listening import Listeners, Member, listening
from service.runtime.signals import on_stopping
from service.runtime.telemetry import open_observed
from service.settings import Settings

_log = structlog.stdlib.get_logger("relevo.runtime")


async def serve(settings: Settings, listeners: Listeners, database: DatabaseUrls) -> None:
    """Serve the API and deliver until SIGTERM or Ctrl-C; then drain and close."""
    # Imported here, since nobody else speaks WebSocket.
    from service.api.protocol.sockets import SocketProtocol

    async with open_observed(settings, listeners, role="serve") as (telemetry, health, operators):
        app = assemble(settings, database, telemetry, health, operators, member=listeners.member)
        config = listening(
            app,
            grace=ceil(settings.delivery.drain),
            websockets=SocketProtocol,
            refused=RefusedRequests(telemetry.metrics),
        )
        await answer(config, listeners.api, health)


def assemble(
    settings: Settings,
    database: DatabaseUrls,
    telemetry: Telemetry,
    health: Health,
    operators: Sequence[Route] = (),
    *,
    member: Member | None = None,
) -> FastAPI:
    """The FastAPI application, instrumented. During its lifespan it also delivers."""
    # Imported here, so that a worker, which has no API, starts sooner.
    from service.api.app import create_app
    from service.console.app import add_console
    from service.runtime.services import open_services

    app = create_app(
        partial(open_services, settings, database, telemetry, health),
        middleware=[Middleware(CorrelationMiddleware, telemetry=telemetry)],
        cors_origins=settings.server.cors_origins,
        public_url=settings.server.public_url,
        routes=_for_operators(settings, health, operators, member),
        short_way=not (telemetry.exports_traces and wants_more(os.environ)),
    )
    add_console(app, ancestors=settings.server.portal_ancestors)
    instrument(app, telemetry)
    return app


def _for_operators(
    settings: Settings, health: Health, operators: Sequence[Route], member: Member | None
) -> Sequence[Route]:
    """What the API's port has for operators: with an ops port the probes only. One of several processes asks the
    parent, which answers for all."""
    probes_only = settings.server.ops_port is not None
    if member is not None:
        return forwarding(member.spokesman, probes_only=probes_only)
    return health.probes() if probes_only else [*health.routes(), *operators]


async def worker(settings: Settings, listeners: Listeners, database: DatabaseUrls) -> None:
    """Deliver only, until SIGTERM or Ctrl-C. Probes and metrics are served on RELEVO_OPS_PORT if it is set."""
    observed = open_observed(settings, listeners, role="worker")
    async with observed as (telemetry, health, _), AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(open_outgoing(settings, telemetry))
        deliver = partial(_delivering, settings, outgoing, telemetry, health)
        if settings.several:
            kept = kept_over_each(settings, deliver, telemetry=telemetry, health=health)
            await stack.enter_async_context(all_kept_open(*kept.values()))
        else:
            await stack.enter_async_context(deliver(database))
        told = _stop_event(health)
        health.started()
        _log.info("worker.ready")
        await told.wait()
        _log.info("worker.stopping")


@asynccontextmanager
async def _delivering(
    settings: Settings,
    outgoing: Outgoing,
    telemetry: Telemetry,
    health: Health,
    urls: DatabaseUrls,
    *,
    name: str | None = None,
) -> AsyncIterator[None]:
    """Deliver what one database owes, while the block lasts."""
    async with (
        open_core(settings, urls, outgoing, telemetry, health, role="worker", name=name) as core,
        delivering(settings, telemetry, health, core),
    ):
        yield


def _stop_event(health: Health) -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets."""
    told = asyncio.Event()

    def stop(_: int) -> None:
        told.set()
        health.draining()

    on_stopping(stop)
    return told
