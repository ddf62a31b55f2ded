"""A parent with its children, from start to signal."""

import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil

import httpx
import structlog

from service.observability.logging import configure_logging
from service.observability.ops import serving
from service.observability.telemetry import open_telemetry
from service.runtime.database import DatabaseUrls
from service.runtime.listening import Listeners, listen
from service.runtime.signals import on_signal, on_stopping
from service.settings import Settings
from service.supervision.child import Child
from service.supervision.instructions import Instructions
from service.supervision.spokesman import Spokesman
from service.supervision.supervisor import Supervisor

# A child that was told to leave finishes requests, then attempts, each within the drain, and then flushes telemetry.
CLOSING_S = 15.0

_log = structlog.stdlib.get_logger("relevo.supervision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervising:
    """A role in `count` processes, each running the `relevo` command of that name."""

    command: str
    count: int

    async def __call__(self, settings: Settings, listeners: Listeners, database: DatabaseUrls) -> None:
        """Keep the processes until SIGTERM or Ctrl-C; SIGHUP replaces them one after the other. SystemExit with their
        worst status if that is not 0."""
        async with AsyncExitStack() as stack:
            telemetry = await stack.enter_async_context(
                open_telemetry(role="supervisor", version=version("relevo"), environ=os.environ)
            )
            configure_logging(
                level=settings.observability.log_level,
                logger_provider=telemetry.logger_provider if telemetry.exports_logs else None,
            )
            client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, verify=False))  # noqa: S501  # it is plain HTTP to this machine
            own = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            instructions = Instructions(
                database=database,
                spokesman=f"http://127.0.0.1:{own.getsockname()[1]}",
                number=0,
                api=tuple(each.fileno() for each in listeners.api),
            )

            async def start(number: int) -> Child:
                command = (sys.executable, "-m", "service", self.command, "--child")
                return await Child.start(command, instructions.of(number), client)

            supervisor = Supervisor(
                start=start,
                count=self.count,
                patience=2 * ceil(settings.delivery.drain) + CLOSING_S,
                metrics=telemetry.metrics,
            )
            spokesman = Spokesman(supervisor, registry=telemetry.registry)
            listen(listeners.ops, "RELEVO_OPS_PORT")
            await stack.enter_async_context(serving(spokesman.routes(), sockets=[own, *listeners.ops]))
            on_stopping(supervisor.stop)
            on_signal(signal.SIGHUP, supervisor.roll)
            status = await supervisor.run()
            _log.info("supervisor.ended", status=status)
        if status:
            raise SystemExit(status)
