"""An application on a real socket of loopback, served as `relevo serve` serves it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from service.api.protocol.connections import CallerProtocol
from service.runtime.listening import listening


@asynccontextmanager
async def serving(
    app: ASGIApp,
    *,
    protocol: type[CallerProtocol] = CallerProtocol,
    websockets: type[asyncio.Protocol] | None = None,
) -> AsyncIterator[int]:
    """The port of 127.0.0.1 on which the application, once it has started, is served while the block lasts."""
    with listener() as bound:
        server = uvicorn.Server(listening(app, grace=1, protocol=protocol, websockets=websockets))
        running = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            await running


@contextmanager
def listener() -> Iterator[socket.socket]:
    """A socket that listens on a free port of 127.0.0.1: whoever connects early waits until somebody serves."""
    # Only of a socket that says it is TCP does asyncio turn off Nagle's algorithm: an answer's body, written after its
    # head, would wait 40 ms for the client's acknowledgement of the head.
    with socket.socket(proto=socket.IPPROTO_TCP) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        yield bound
