"""The whole of Relevo in the test's own process: the API by its ASGI interface, the engine, a database, telemetry."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from service.adapters.access.tokens import Tokens
from service.observability.health import Health
from service.observability.telemetry import Telemetry
from service.runtime.database import fitting_database
from service.runtime.roles import assemble
from service.settings import Settings
from tests.support.factories import ORG
from tests.support.processes import SECRET, settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What runs, and a client of it that is an organisation's admin."""

    app: FastAPI
    api: AsyncClient
    health: Health

    async def application(self, name: str, *urls: str) -> str:
        """The id of a new application with an endpoint for each URL."""
        app_id = str((await self.made("/app", {"name": name}))["id"])
        for url in urls:
            await self.made(f"/app/{app_id}/endpoint", {"url": url})
        return app_id

    async def message(self, app_id: str, event_type: str = "order.paid") -> str:
        """The id of a message that was accepted."""
        return str((await self.made(f"/app/{app_id}/msg", {"eventType": event_type, "payload": {}}))["id"])

    async def made(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """What the API says of something that it was asked to make."""
        answer = await self.api.post(f"/api/v1{path}", json=body)
        answer.raise_for_status()
        made: dict[str, object] = answer.json()
        return made


@asynccontextmanager
async def running_whole(telemetry: Telemetry, *, database: str, **others: str) -> AsyncIterator[Whole]:
    """Ready, with settings as a server's in a process of its own would be; `others` go before them."""
    configured = Settings.from_environment(settings(RELEVO_DATABASE_URL=database, **others))
    token = Tokens(SECRET).mint(ORG, now=datetime.now(UTC))
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(fitting_database(configured, tell=lambda _sentence: None))
        health = Health(registry=telemetry.registry)
        app = assemble(configured, urls, telemetry, health)
        await stack.enter_async_context(app.router.lifespan_context(app))
        api = await stack.enter_async_context(
            AsyncClient(
                transport=ASGITransport(app=app, raise_app_exceptions=False),
                base_url="http://relevo.test",
                headers={"authorization": f"Bearer {token}"},
            )
        )
        yield Whole(app=app, api=api, health=health)
