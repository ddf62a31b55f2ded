"""Opens telemetry, logging, probes and the operators' routes: first at start, closed last."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from importlib.metadata import version
from typing import Any

import structlog
from prometheus_client import generate_latest
from starlette.routing import Route

from service.observability.admin import Admin
from service.observability.eventloop import sample_lag
from service.observability.health import Health
from service.observability.logging import Logging, configure_logging
from service.observability.ops import serving
from service.observability.profiling import Profiling
from service.observability.telemetry import Telemetry, open_telemetry
from service.offloading.threads import Threads
from service.runtime.listening import Listeners, listen
from service.settings import Settings

_log = structlog.stdlib.get_logger("relevo.runtime")


@asynccontextmanager
async def open_observed(
    settings: Settings, listeners: Listeners, *, role: str
) -> AsyncIterator[tuple[Telemetry, Health, list[Route]]]:
    """Open telemetry first and close it last, so that everything between is recorded. Yields also the operators'
    routes, which the ops port serves already if there is one."""
    member = listeners.member
    number = None if member is None else member.number
    observed = open_telemetry(role=role, version=version("relevo"), environ=os.environ, process=number)
    async with observed as telemetry:
        logging = configure_logging(
            level=settings.observability.log_level,
            logger_provider=telemetry.logger_provider if telemetry.exports_logs else None,
            process=number,
        )
        asyncio.get_running_loop().set_exception_handler(_log_unhandled_error)
        health = Health(registry=telemetry.registry)
        lag = asyncio.create_task(sample_lag(telemetry.metrics), name="event loop lag")
        try:
            operators = _operators(settings, logging)
            async with _ops(listeners, [*health.routes(), *operators]):
                yield telemetry, health, operators
        finally:
            lag.cancel()
            if member is not None:
                with os.fdopen(member.last_words, "wb") as parent, suppress(BrokenPipeError):
                    parent.write(generate_latest(telemetry.registry))


def _operators(settings: Settings, logging: Logging) -> list[Route]:
    token = settings.observability.admin_token
    if token is None:
        return []
    return Admin(token=token.get_secret_value(), logging=logging, profiling=Profiling(_in_thread)).routes()


async def _in_thread(work: Callable[[], str]) -> str:
    with Threads("profile", workers=1) as threads:
        return await threads.run(work)


def _ops(listeners: Listeners, routes: list[Route]) -> AbstractAsyncContextManager[None]:
    listen(listeners.ops, "RELEVO_OPS_PORT")
    return serving(routes, sockets=listeners.ops) if listeners.ops else nullcontext()


def _log_unhandled_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that no task handled. asyncio's own handler would write its text, which may hold secrets."""
    error = context.get("exception")
    _log.error("loop.error", what=context.get("message"), error_type=type(error).__qualname__, exc_info=error)
