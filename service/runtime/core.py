"""Opens what both roles share: the database, wake-ups, the outgoing HTTP client, upkeep."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from httpx import AsyncClient

from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress
from service.adapters.machine.clock import SystemClock
from service.adapters.machine.vault import AesVault
from service.adapters.postgres.queue.attempt_news import PostgresAttemptNews
from service.adapters.postgres.server.database import Database, open_database
from service.adapters.postgres.server.wakeups import Wakeups
from service.adapters.postgres.upkeep import PostgresUpkeep
from service.delivery.upkeep import every
from service.observability.health import Health
from service.observability.instrumentation import instrument_database
from service.observability.telemetry import Telemetry
from service.runtime.database import DatabaseUrls
from service.settings import Settings

DATABASE_CHECK_INTERVAL = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What both roles share."""

    database: Database
    wakeups: Wakeups
    attempt_news: PostgresAttemptNews
    vault: AesVault
    http_client: AsyncClient
    egress: Egress
    upkeep: PostgresUpkeep


@asynccontextmanager
async def open_core(
    settings: Settings, urls: DatabaseUrls, telemetry: Telemetry, health: Health, *, role: str
) -> AsyncIterator[Core]:
    """Open it all for a process of that role, and close it in reverse when the block ends."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(urls.url, waited=telemetry.metrics.pool_waited, pooled=urls.url != urls.direct)
        )
        stack.enter_context(instrument_database(database.engine, telemetry))
        for name, gauges in database.pools().items():
            telemetry.metrics.observe_pool(name, size=gauges.size, checked_out=gauges.checked_out)
        wakeups = Wakeups(urls.direct, role=role)
        await stack.enter_async_context(wakeups.running())
        attempt_news = PostgresAttemptNews(urls.direct)
        await stack.enter_async_context(attempt_news.running())
        egress = Egress(settings.delivery.egress_allow)
        client = await stack.enter_async_context(
            open_http_client(egress, concurrency=settings.delivery.concurrency, metrics=telemetry.metrics)
        )
        upkeep = PostgresUpkeep(database.pool, audit_kept=timedelta(days=settings.storage.audit_days))
        await upkeep.make_room(now=SystemClock().now())
        await stack.enter_async_context(every(DATABASE_CHECK_INTERVAL, partial(health.check_database, upkeep.ping)))
        yield Core(
            database=database,
            wakeups=wakeups,
            attempt_news=attempt_news,
            vault=AesVault(settings.secret_keys()),
            http_client=client,
            egress=egress,
            upkeep=upkeep,
        )
