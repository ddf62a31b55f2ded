"""The API on a real socket, for what an ASGI client cannot tell: answers that go on while they are read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fastapi import FastAPI
from httpx import AsyncClient

from tests.api.conftest import TOKENS
from tests.support.factories import ORG
from tests.support.patience import patient
from tests.support.serving import serving


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """A client of the application, asked by an organisation's admin."""
    async with serving(app) as port:
        address = f"http://127.0.0.1:{port}/api/v1"
        token = TOKENS.mint(ORG, now=datetime.now(UTC))
        async with AsyncClient(
            base_url=address, headers={"authorization": f"Bearer {token}"}, timeout=patient(20)
        ) as client:
            yield client
