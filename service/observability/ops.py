"""Serves probes and metrics on the ops port (RELEVO_OPS_PORT), beside the API or in a worker, which has no other."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute


@asynccontextmanager
async def serving(routes: Sequence[BaseRoute], *, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """Serve `routes` on these listening sockets until the block ends, so that probes are answered while the process
    drains."""
    config = uvicorn.Config(
        Starlette(routes=list(routes)),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        workers=1,  # or it would read WEB_CONCURRENCY, which may be anything
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = _Beside(config)
    task = asyncio.create_task(server.serve(list(sockets)), name="ops server")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)


class _Beside(uvicorn.Server):
    """A server that does not handle the process's signals; the role does."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle none."""
        yield
