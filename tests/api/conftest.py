"""The API on a real database, asked through its ASGI interface."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from service.adapters.access.tokens import Tokens
from service.adapters.access.verifier import Verifier
from service.adapters.destinations.http.client import open_http_client
from service.adapters.destinations.http.egress import Egress, why_refused
from service.adapters.machine.clock import SystemClock, new_id
from service.adapters.machine.ed25519 import Ed25519
from service.adapters.machine.embedded import EmbeddedServer
from service.adapters.postgres.queue.attempt_news import PostgresAttemptNews
from service.adapters.postgres.queue.intake import PostgresIntake
from service.adapters.postgres.repositories.payload_rules import PostgresPayloadRules
from service.adapters.postgres.repositories.revocations import RememberedRevocations
from service.adapters.postgres.repositories.unit_of_work import PostgresUnitOfWork, open_unit_of_work
from service.adapters.postgres.server.database import Database, dsn, open_database
from service.api.app import create_app
from service.api.services import Services
from service.application.payload_checks import PayloadChecks
from service.application.ports.destinations import Senders
from service.application.ports.machine import NewId
from service.application.tails import AttemptReader
from service.delivery.attempts import Attempts
from service.domain.signatures import Signing
from service.observability.deliveries import DeliveryTelemetry
from service.observability.telemetry import Telemetry, open_telemetry
from service.offloading.processes import Processes
from service.offloading.threads import Threads
from service.runtime.destinations import senders
from tests.api.tenancy import listening, unbound
from tests.api.walking import Things, one_of_each
from tests.support.certificates import NO_AUTHORITIES
from tests.support.factories import ORG, VAULT
from tests.support.patience import patient
from tests.support.postgres import fresh_database
from tests.support.shared_database import SharedDatabase

AN_IDS_TICK = 1 / 256 + 0.001  # seconds: later than that, the time in an identifier is another
EGRESS = Egress([ip_network("127.0.0.0/8")])
TOKENS = Tokens("a secret that only tests know, long enough")


@pytest.fixture
async def database(
    request: pytest.FixtureRequest, migrated_server: EmbeddedServer, shared_database: SharedDatabase
) -> AsyncIterator[str]:
    """The URL of an empty database: the shared one, or with the mark `own_database` one of the test's own."""
    if request.node.get_closest_marker("own_database"):
        async with fresh_database(migrated_server) as url:
            yield url
    else:
        yield shared_database.url
        await shared_database.empty()


@pytest.fixture
async def postgres(database: str, shared_database: SharedDatabase) -> AsyncIterator[Database]:
    """Connections to the database. Whatever sessions run there names its tenant."""
    async with AsyncExitStack() as own:
        shared = database == shared_database.url
        opened = shared_database.opened if shared else await own.enter_async_context(open_database(database))
        with listening(opened) as statements:
            yield opened
        assert unbound(statements) == []


@pytest.fixture
async def services(database: str, postgres: Database) -> AsyncIterator[Services]:
    """What the API needs, over PostgreSQL."""
    async with (
        open_telemetry(role="test", version="0", environ={}) as telemetry,
        open_http_client(EGRESS, concurrency=8, ssl_context=NO_AUTHORITIES) as http_client,
        AsyncExitStack() as exits,
    ):
        intake = PostgresIntake(postgres.pool, accepted=lambda: None, telemetry=DeliveryTelemetry(telemetry))
        processes = Processes(workers=1, seconds=5)
        threads = exits.enter_context(Threads("imports", workers=2))
        news = PostgresAttemptNews(dsn(database))
        await exits.enter_async_context(news.running())
        async with intake.running():
            yield Services(
                begin=partial(open_unit_of_work, postgres.sessions, VAULT),
                sessions=postgres.sessions,
                unit_of_work=partial(PostgresUnitOfWork, vault=VAULT),
                http_client=http_client,
                intake=intake,
                access=Verifier(TOKENS, revocations=RememberedRevocations(postgres.pool), clock=SystemClock()),
                tokens=TOKENS,
                clock=SystemClock(),
                new_id=_ids_in_order(),
                key_pairs=Ed25519(),
                refuses_url=partial(why_refused, egress=EGRESS),
                attempts=lambda client: attempts_by(
                    senders(client, timeout=patient(5), egress=EGRESS), telemetry=telemetry
                ),
                payload_checks=PayloadChecks(PostgresPayloadRules(postgres.pool), processes),
                processes=processes,
                threads=threads,
                attempt_news=news,
                attempt_reader=AttemptReader(partial(open_unit_of_work, postgres.sessions, VAULT)),
            )


def attempts_by(senders: Senders, *, telemetry: Telemetry) -> Attempts:
    """What makes the attempts of examples."""
    return Attempts(
        senders=senders,
        clock=SystemClock(),
        new_id=new_id,
        telemetry=DeliveryTelemetry(telemetry),
        schedule=(),
        signing=Signing(families=("webhook",), ed25519=Ed25519().sign),
    )


class Handed:
    """The services of the test that runs, as the lifespan of the one application wants them."""

    services: Services

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Services]:
        yield self.services


@pytest.fixture(scope="session")
def shared_app() -> tuple[FastAPI, Handed]:
    """The API, made once: analysing its routes takes longer than most tests."""
    handed = Handed()
    return create_app(handed.opened), handed


@pytest.fixture
def app(shared_app: tuple[FastAPI, Handed], services: Services) -> FastAPI:
    """The API, not yet serving. It is every test's: whoever changes an application makes one."""
    app, handed = shared_app
    handed.services = services
    return app


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """The API, serving, asked by an organisation's admin."""
    async with serving(app) as client:
        yield client


@asynccontextmanager
async def serving(app: FastAPI, *, token: str | None = None) -> AsyncIterator[AsyncClient]:
    """A client of the application, inside its lifespan."""
    bearer = token or TOKENS.mint(ORG, now=datetime.now(UTC))
    async with (
        app.router.lifespan_context(app),
        AsyncClient(
            transport=ASGITransport(app=app, raise_app_exceptions=False),
            base_url="http://relevo.test/api/v1",
            headers={"authorization": f"Bearer {bearer}"},
        ) as client,
    ):
        yield client


def _ids_in_order() -> NewId:
    """Identifiers far enough apart in time that their order is the one they were made in; none is of the future."""
    latest = time.monotonic()

    def in_order(prefix: str, *, at: datetime | None = None) -> str:
        nonlocal latest
        time.sleep(max(0, latest + AN_IDS_TICK - time.monotonic()))
        latest = time.monotonic()
        return new_id(prefix, at=at)

    return in_order


@asynccontextmanager
async def handed(services: Services) -> AsyncIterator[Services]:
    """Services that are open already, as a lifespan wants them."""
    yield services


@pytest.fixture
async def application(api: AsyncClient) -> str:
    """The uid of an application."""
    answer = await api.post("/app", json={"name": "an application", "uid": "u"})
    answer.raise_for_status()
    return "u"


@pytest.fixture
async def things(api: AsyncClient, postgres: Database) -> Things:
    """One thing of each kind, by the names that paths have for them."""
    return await one_of_each(api, postgres)
