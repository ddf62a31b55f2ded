"""Opens what the API needs, in order, for as long as it serves: over one database, or over each of several."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from service.adapters.postgres.repositories.homes import PostgresHomes, hearing_of_moves
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork
from service.adapters.postgres.server.database import Database, open_database
from service.api.services import Services
from service.application.access import TokenVerifier
from service.application.homes import Homes
from service.application.ports.identity_provider import IdentityProvider
from service.application.use_cases import Resources
from service.domain.ids import OrgId
from service.observability.deliveries import DeliveryTelemetry
from service.observability.health import Health
from service.observability.sources import SourceTelemetry
from service.observability.telemetry import Telemetry
from service.runtime.access import open_identity_provider, open_verifier
from service.runtime.core import Core, Outgoing, open_core, open_outgoing
from service.runtime.database import DatabaseUrls, named
from service.runtime.databases import KeptOpen, all_kept_open, kept_over_each
from service.runtime.destinations import attempts
from service.runtime.engine import delivering
from service.runtime.moves import finding_moves
from service.runtime.resources import Tools, open_resources, open_tools, resources_over
from service.runtime.sources import reading_sources
from service.runtime.tenants import ChosenDatabases, Shard
from service.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """What is open once, whichever databases there are."""

    settings: Settings
    telemetry: Telemetry
    health: Health
    outgoing: Outgoing
    tools: Tools
    sources: SourceTelemetry
    identity_provider: IdentityProvider | None


@asynccontextmanager
async def open_services(
    settings: Settings, database: DatabaseUrls, telemetry: Telemetry, health: Health
) -> AsyncIterator[Services]:
    """The application's lifespan: what the API needs, and the engine beside it."""
    async with AsyncExitStack() as stack:
        process = _Process(
            settings=settings,
            telemetry=telemetry,
            health=health,
            outgoing=await stack.enter_async_context(open_outgoing(settings, telemetry)),
            tools=stack.enter_context(open_tools(settings, telemetry)),
            sources=SourceTelemetry(telemetry),
            identity_provider=await stack.enter_async_context(open_identity_provider(settings)),
        )
        over = _over_several(process, database) if settings.several else _over_one(process, database)
        services = await stack.enter_async_context(over)
        health.started()
        yield services


@asynccontextmanager
async def _over_one(process: _Process, urls: DatabaseUrls) -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(_open_core(process, urls))
        revocations = RememberedRevocations(core.database.pool)
        verifier = open_verifier(process.settings, revocations, process.tools.tokens)
        access = await stack.enter_async_context(verifier)
        yield await stack.enter_async_context(_serving(process, core, access))


@asynccontextmanager
async def _over_several(process: _Process, home: DatabaseUrls) -> AsyncIterator[Services]:
    """The database that is home is asked over connections of its own, also by a process that does not serve it."""
    settings, telemetry, health = process.settings, process.telemetry, process.health
    first, *_ = named(settings)
    at_home = KeptOpen(first, partial(open_database, home.url, pooled=home.url != home.direct))
    revocations = RememberedRevocations(lambda: at_home().pool)
    health.need("revocations", lambda: revocations.known)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(all_kept_open(at_home))
        verifier = open_verifier(settings, revocations, process.tools.tokens)
        access = await stack.enter_async_context(verifier)
        shards: dict[str, KeptOpen[Shard]] = {}
        chosen = ChosenDatabases(
            shards,
            Homes(PostgresHomes(lambda: at_home().pool), first=first),
            ready=lambda: revocations.known,
            answers=health.answers,
            is_down=health.is_down,
        )
        opening = partial(_open_shard, process, access, chosen, at_home)
        shards |= kept_over_each(settings, opening, telemetry=telemetry, health=health)
        await stack.enter_async_context(all_kept_open(*shards.values()))
        hearing = hearing_of_moves(home.direct, moved=chosen.forget, known=chosen.remembered)
        await stack.enter_async_context(hearing)
        await stack.enter_async_context(finding_moves(settings, lambda: at_home().pool))
        yield _without_database(process, access, chosen)


@asynccontextmanager
async def _open_shard(
    process: _Process,
    access: TokenVerifier,
    chosen: ChosenDatabases,
    at_home: KeptOpen[Database],
    urls: DatabaseUrls,
    *,
    name: str,
) -> AsyncIterator[Shard]:
    async with (
        _open_core(process, urls, name=name) as core,
        _serving(process, core, access, moved=chosen.forget) as services,
    ):
        home = None if name == at_home.name else lambda: at_home().sessions()
        yield Shard(core=core, services=services, home=home)


def _open_core(process: _Process, urls: DatabaseUrls, *, name: str | None = None) -> AbstractAsyncContextManager[Core]:
    return open_core(
        process.settings, urls, process.outgoing, process.telemetry, process.health, role="serve", name=name
    )


@asynccontextmanager
async def _serving(
    process: _Process, core: Core, access: TokenVerifier, *, moved: Callable[[OrgId], None] | None = None
) -> AsyncIterator[Services]:
    """Deliver for one database, read its sources, and give what the API needs of it."""
    settings, telemetry, health = process.settings, process.telemetry, process.health
    async with AsyncExitStack() as stack:
        leasing = await stack.enter_async_context(delivering(settings, telemetry, health, core))
        opening = open_resources(
            settings, core, process.tools, access, telemetry=telemetry, health=health, leasing=leasing, moved=moved
        )
        resources = await stack.enter_async_context(opening)
        # Live streams never end by themselves and would hold up the shutdown.
        health.when_draining(core.attempt_news.end)
        await stack.enter_async_context(reading_sources(core, resources, telemetry, process.sources, health))
        yield _services(
            process,
            resources,
            sessions=core.database.sessions,
            unit_of_work=partial(PostgresUnitOfWork, vault=core.vault, wakeups=core.wakeups),
        )


def _without_database(process: _Process, access: TokenVerifier, chosen: ChosenDatabases) -> Services:
    """Services of nobody, which choose a database for each organisation."""
    nowhere: Any = _Nowhere()
    resources = resources_over(
        process.settings,
        process.tools,
        access,
        process.outgoing.egress,
        begin=nowhere,
        intake=nowhere,
        payload_checks=nowhere,
        attempt_news=nowhere,
    )
    return _services(process, resources, sessions=nowhere, unit_of_work=nowhere, tenants=chosen)


def _services(
    process: _Process,
    resources: Resources,
    *,
    sessions: Any,
    unit_of_work: Any,
    tenants: ChosenDatabases | None = None,
) -> Services:
    told = DeliveryTelemetry(process.telemetry)
    return Services.over(
        resources,
        sessions=sessions,
        unit_of_work=unit_of_work,
        http_client=process.outgoing.http_client,
        identity_provider=process.identity_provider,
        attempts=partial(attempts, settings=process.settings, egress=process.outgoing.egress, telemetry=told),
        tenants=tenants,
    )


class _Nowhere:
    """Stands where a database would, before a tenant is known. To use it is a fault of ours: nothing is done anywhere,
    rather than in somebody else's database."""

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise LookupError("the tenant's database has not been chosen")

    def __getattr__(self, name: str) -> NoReturn:
        raise LookupError(f"the tenant's database has not been chosen, for {name}")
