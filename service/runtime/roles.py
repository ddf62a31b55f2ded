"""The roles of a process, from start to signal: to serve and deliver, or to deliver only."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from math import ceil
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import Route

from service.api.app import create_app
from service.api.connections import listening
from service.observability.health import Health
from service.observability.instrumentation import instrument
from service.observability.middleware import CorrelationMiddleware
from service.observability.telemetry import Telemetry
from service.runtime.core import open_core
from service.runtime.deliveries import delivering
from service.runtime.services import open_services
from service.runtime.telemetry import open_observed
from service.settings import Settings

_log = structlog.stdlib.get_logger("relevo.runtime")


async def serve(settings: Settings) -> None:
    """Serve the API and deliver, until SIGTERM or Ctrl-C; then leave in good order."""
    async with open_observed(settings, role="serve") as (telemetry, health, operators):
        await _run(assemble(settings, telemetry, health, operators), settings, health)


def assemble(settings: Settings, telemetry: Telemetry, health: Health, operators: Sequence[Route] = ()) -> FastAPI:
    """The application, instrumented; it delivers as well, while its lifespan lasts."""
    app = create_app(
        partial(open_services, settings, telemetry, health),
        middleware=[Middleware(CorrelationMiddleware, telemetry=telemetry)],
        cors_origins=settings.server.cors_origins,
        # Where operators have a port of their own, they alone see what is theirs.
        routes=[*health.routes(), *operators] if settings.server.ops_port is None else health.probes(),
    )
    instrument(app, telemetry)
    return app


async def worker(settings: Settings) -> None:
    """Deliver only, until SIGTERM or Ctrl-C. Probes and metrics are served where `RELEVO_OPS_PORT` says."""
    async with open_observed(settings, role="worker") as (telemetry, health, _), AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, telemetry, health))
        await stack.enter_async_context(delivering(settings, telemetry, health, core))
        health.started()
        _log.info("worker.ready")
        await _until_told_to_stop(health)
        _log.info("worker.stopping")


async def _run(app: FastAPI, settings: Settings, health: Health) -> None:
    grace = ceil(settings.delivery.drain)
    config = listening(app, host=settings.server.host, port=settings.server.port, grace=grace)
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
