"""Runs the server of the API: it listens once the application is ready, and what keeps that from starting is raised."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from socket import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from service.observability.health import Health
from service.runtime.listening import listen
from service.runtime.signals import on_stopping


async def answer(config: uvicorn.Config, sockets: Sequence[socket], health: Health) -> None:
    """Answer on the bound sockets until a signal asks for the end, when `health` is told. It is not ready before it
    listens. Raises what ended the application's start, and PortUnusable when another process listens on the port by
    now."""
    listens = False
    health.need("listening", lambda: listens)

    def ready() -> None:
        nonlocal listens
        listen(sockets, "RELEVO_PORT")
        listens = True

    config.load()
    config.lifespan_class = partial(_Lifespan, ready=ready)
    await _Server(config, stopping=health.draining).serve(list(sockets))


class _Server(uvicorn.Server):
    """Calls `stopping` as soon as a signal asks it to stop."""

    def __init__(self, config: uvicorn.Config, *, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals on the loop, for good: uvicorn's own way would raise the signal again when it is done."""
        on_stopping(lambda number: self.handle_exit(number, None))
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping()
        super().handle_exit(sig, frame)


class _Lifespan(LifespanOn):
    """Raises what ended the application's start, which uvicorn's own would log with its traceback, and calls `ready`
    between that start and the server's."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._fault: Exception | None = None
        self._running: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the application. Raises what ended that, or what `ready` raises."""
        self._running = asyncio.create_task(self.main(), name="lifespan")
        await self.receive_queue.put({"type": "lifespan.startup"})
        await self.startup_event.wait()
        if self._fault is not None:
            raise self._fault
        try:
            self._ready()
        except Exception:
            await self.shutdown()
            raise
        self.logger.info("Application startup complete.")

    async def main(self) -> None:
        """Run the application's lifespan."""
        about: Any = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.config.loaded_app(about, self.receive, self.send)
        except Exception as error:  # noqa: BLE001  # whoever starts or ends it is told
            self._fault = error
            self.error_occurred = True
        finally:
            self.startup_event.set()
            self.shutdown_event.set()

    async def send(self, message: LifespanSendMessage) -> None:
        """Take what the application says of itself. Its failed start is over when `main` has what it raised."""
        if message["type"] != "lifespan.startup.failed":
            await super().send(message)
