"""The API on a real socket, for what an ASGI client cannot tell: answers that go on while they are read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI
from httpx import AsyncClient

from tests.api.conftest import TOKENS
from tests.support.factories import ORG


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """A client of the application, asked by an organisation's admin."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # whoever asks before the server is up waits for it
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        token = TOKENS.mint(ORG, now=datetime.now(UTC))
        async with AsyncClient(base_url=address, headers={"authorization": f"Bearer {token}"}, timeout=20) as client:
            yield client
        server.should_exit = True
        await serving
