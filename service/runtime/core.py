"""Opens what both roles share: the outgoing HTTP client, and for each database its connections, wake-ups, upkeep."""

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
from service.observability.metrics import Metrics
from service.observability.telemetry import Telemetry
from service.runtime.database import DatabaseUrls
from service.settings import Settings

DATABASE_CHECK_INTERVAL = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """The way out of the process, which all databases share."""

    http_client: AsyncClient
    egress: Egress


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What both roles share over one database. It has a `name` only where there are several."""

    name: str | None
    database: Database
    wakeups: Wakeups
    attempt_news: PostgresAttemptNews
    vault: AesVault
    http_client: AsyncClient
    egress: Egress
    upkeep: PostgresUpkeep


@asynccontextmanager
async def open_outgoing(settings: Settings, telemetry: Telemetry) -> AsyncIterator[Outgoing]:
    """The way out, while the block lasts."""
    egress = Egress(settings.delivery.egress_allow)
    concurrency = settings.delivery.concurrency
    async with open_http_client(egress, concurrency=concurrency, metrics=telemetry.metrics) as client:
        yield Outgoing(http_client=client, egress=egress)


@asynccontextmanager
async def open_core(
    settings: Settings,
    urls: DatabaseUrls,
    outgoing: Outgoing,
    telemetry: Telemetry,
    health: Health,
    *,
    role: str,
    name: str | None = None,
) -> AsyncIterator[Core]:
    """Open it all for a process of that role, and close it in reverse when the block ends. Raises Unavailable."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_database(urls.url, waited=partial(_waited, telemetry.metrics, name), pooled=urls.url != urls.direct)
        )
        stack.enter_context(instrument_database(database.engine, telemetry))
        for pool, gauges in database.pools().items():
            telemetry.metrics.observe_pool(_pool_of(name, pool), size=gauges.size, checked_out=gauges.checked_out)
        wakeups = Wakeups(urls.direct, role=role)
        await stack.enter_async_context(wakeups.running())
        attempt_news = PostgresAttemptNews(urls.direct)
        await stack.enter_async_context(attempt_news.running())
        upkeep = PostgresUpkeep(database.pool, audit_kept=timedelta(days=settings.storage.audit_days))
        await upkeep.make_room(now=SystemClock().now())
        check = partial(_check, upkeep, telemetry.metrics, health, name)
        if name is not None:
            await check()  # new organisations may be given it from now on
        await stack.enter_async_context(every(DATABASE_CHECK_INTERVAL, check))
        yield Core(
            name=name,
            database=database,
            wakeups=wakeups,
            attempt_news=attempt_news,
            vault=AesVault(settings.secret_keys()),
            http_client=outgoing.http_client,
            egress=outgoing.egress,
            upkeep=upkeep,
        )


async def _check(upkeep: PostgresUpkeep, metrics: Metrics, health: Health, name: str | None) -> None:
    metrics.database_up(name, up=await health.check_database(upkeep.ping, name=name))


def _waited(metrics: Metrics, name: str | None, pool: str, seconds: float) -> None:
    metrics.pool_waited(_pool_of(name, pool), seconds)


def _pool_of(name: str | None, pool: str) -> str:
    return pool if name is None else f"{pool} {name}"
