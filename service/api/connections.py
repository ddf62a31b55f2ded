"""Connections of callers: how the API listens, and how long it waits for somebody who does not finish a request.

uvicorn waits for the rest of a request for ever, and reads a head of any length: a few thousand connections that send
a byte now and then would hold every socket of the process.
"""

import asyncio
from asyncio import TimerHandle
from dataclasses import dataclass
from typing import Any, ClassVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEPT_ALIVE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds that a head may take from its first byte (or from connecting) to its last, seconds that a caller may be
    silent within a body, and bytes of a head."""

    head: float = 10.0
    silence: float = 30.0
    head_bytes: int = 64 * 1024


class CallerProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a caller who may be slow, but not for ever."""

    patience: ClassVar[Patience] = Patience()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waiting: TimerHandle | None = None
        self._head_bytes = 0
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Read on. Whatever is unfinished afterwards has a time by which it has to be finished."""
        if not self._in_body:
            # Line breaks before a request line count as well, although they are no request to the parser.
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            self._stop_waiting()
        elif self._in_body:
            self._wait_for_body()
        elif self._head_bytes > self.patience.head_bytes:
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._is_idle() and self._waiting is None:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """The head is there, in time."""
        self._stop_waiting()
        self._head_bytes = 0
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """So is the body."""
        self._stop_waiting()
        self._in_body = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._waiting = self.loop.call_later(self.patience.head, self._give_up_on_head)

    def _wait_for_body(self) -> None:
        if self._is_idle() and self._waiting is not None:
            return  # what is left of a body that was refused is read for a while, so that the answer is
        self._stop_waiting()
        self._waiting = self.loop.call_later(self.patience.silence, self._give_up_on_body)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up_on_head(self) -> None:
        self._waiting = None
        if self._head_bytes:
            self._refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def _give_up_on_body(self) -> None:
        self._waiting = None
        if self.flow.read_paused:
            self._wait_for_body()  # it is we who do not read
        else:
            # The application is told as it is of any caller who hangs up.
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        self._stop_waiting()
        if self._is_idle():  # never in the middle of an answer to the request before
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


def listening(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    grace: int | None = None,
    protocol: type[CallerProtocol] = CallerProtocol,
) -> uvicorn.Config:
    """How the API is served; `grace` is how many seconds requests get to finish in when it stops."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEPT_ALIVE,
        timeout_graceful_shutdown=grace,
        lifespan="on",
    )
