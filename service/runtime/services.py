"""Opens what the API needs, in order, for as long as it serves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork
from service.api.services import Services
from service.observability.deliveries import DeliveryTelemetry
from service.observability.health import Health
from service.observability.telemetry import Telemetry
from service.runtime.access import open_identity_provider
from service.runtime.core import open_core
from service.runtime.database import DatabaseUrls
from service.runtime.destinations import attempts
from service.runtime.engine import delivering
from service.runtime.resources import open_resources
from service.runtime.sources import reading_sources
from service.settings import Settings


@asynccontextmanager
async def open_services(
    settings: Settings, database: DatabaseUrls, telemetry: Telemetry, health: Health
) -> AsyncIterator[Services]:
    """The application's lifespan: what the API needs, and the engine beside it."""
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, database, telemetry, health, role="serve"))
        leasing = await stack.enter_async_context(delivering(settings, telemetry, health, core))
        resources = await stack.enter_async_context(open_resources(settings, core, telemetry, health, leasing))
        # Live streams never end by themselves and would hold up the shutdown.
        health.when_draining(core.attempt_news.end)
        await stack.enter_async_context(reading_sources(core, resources, telemetry, health))
        health.started()
        told = DeliveryTelemetry(telemetry)
        yield Services.over(
            resources,
            sessions=core.database.sessions,
            unit_of_work=partial(PostgresUnitOfWork, vault=core.vault, wakeups=core.wakeups),
            http_client=core.http_client,
            identity_provider=await stack.enter_async_context(open_identity_provider(settings)),
            attempts=partial(attempts, settings=settings, egress=core.egress, telemetry=told),
        )
