"""The API on a real socket, for what an ASGI client cannot tell: answers that go on while they are read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import ClassVar

from fastapi import FastAPI
from httpx import AsyncClient

from service.api.protocol.connections import CallerProtocol
from service.api.protocol.patience import Patience
from tests.api.conftest import TOKENS
from tests.support.certificates import NO_AUTHORITIES
from tests.support.factories import ORG
from tests.support.patience import patient
from tests.support.serving import serving


class PatientProtocol(CallerProtocol):
    """Connections on which a caller whom the machine keeps waiting is not hung up on."""

    patience: ClassVar[Patience] = Patience(head=patient(10), silence=patient(30), parting=patient(2))


@asynccontextmanager
async def served(app: FastAPI, *, websockets: type[asyncio.Protocol] | None = None) -> AsyncIterator[AsyncClient]:
    """A client of the application, asked by an organisation's admin."""
    async with serving(app, protocol=PatientProtocol, websockets=websockets) as port:
        address = f"http://127.0.0.1:{port}/api/v1"
        token = TOKENS.mint(ORG, now=datetime.now(UTC))
        async with AsyncClient(
            base_url=address,
            headers={"authorization": f"Bearer {token}"},
            timeout=patient(20),
            verify=NO_AUTHORITIES,
        ) as client:
            yield client
