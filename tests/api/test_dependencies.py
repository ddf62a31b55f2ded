"""What a request holds is given back before its answer leaves, in reverse order, however the route ended."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from service.adapters.postgres.server.database import Database
from service.api.app import create_app
from service.api.dependencies import HttpClientDep, UnitOfWorkDep, caller
from service.api.problems import answer_problems
from service.api.services import Services
from service.application.access import Caller
from service.domain.errors import NotFound
from tests.api.conftest import handed, serving
from tests.support.factories import ORG

REFUSE_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON application
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.mark.own_database
async def test_a_commit_that_fails_is_never_a_success(postgres: Database, api: AsyncClient) -> None:
    await postgres.pool.execute(REFUSE_COMMIT)

    answer = await api.post("/app", json={"name": "a", "uid": "a"})

    assert answer.status_code == 500
    assert (await api.get("/app/a")).status_code == 404


async def test_an_overridden_caller_counts_on_every_route(services: Services) -> None:
    app = create_app(partial(handed, services))
    app.dependency_overrides[caller] = lambda: Caller(org_id=ORG)

    async with serving(app, token="of nobody") as api:
        created = await api.post("/app", json={"name": "n", "uid": "u"})
        sent = await api.post("/app/u/msg", json={"eventType": "a.b", "payload": {}})

    assert (created.status_code, sent.status_code) == (201, 202)


@pytest.mark.own_database
async def test_a_connection_that_is_lost_is_told_and_the_next_one_serves(postgres: Database, api: AsyncClient) -> None:
    assert (await api.get("/app")).status_code == 200
    await postgres.pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    lost = await api.get("/app")
    served = await api.get("/app")

    assert (lost.status_code, served.status_code) == (503, 200)
    assert lost.json()["code"] == "unavailable"
    assert lost.headers["retry-after"] == "1"


async def test_a_database_that_cannot_be_reached_is_told_as_well(services: Services, unused_port: int) -> None:
    engine = create_async_engine(f"postgresql+asyncpg://nobody@127.0.0.1:{unused_port}/nothing")
    app = create_app(partial(handed, replace(services, sessions=async_sessionmaker(engine))))

    async with serving(app) as api:
        answers = [await api.get("/app"), await api.post("/app", json={"name": "a"}, headers={"idempotency-key": "k"})]
    await engine.dispose()

    assert [answer.status_code for answer in answers] == [503, 503]
    assert {answer.json()["code"] for answer in answers} == {"unavailable"}


async def test_of_one_database_the_services_are_everybodys(services: Services) -> None:
    assert await services.of(ORG) is await services.known(ORG) is services


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound, so that nobody takes it, and does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@dataclass
class Diary:
    """Plays session and unit of work, and writes down what happens to them."""

    entries: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        self.entries.append("session opened")
        try:
            yield self
        finally:
            self.entries.append("session closed")

    async def commit(self) -> None:
        self.entries.append("committed")

    async def rollback(self) -> None:
        self.entries.append("rolled back")

    @asynccontextmanager
    async def told_by_server(self, app: FastAPI) -> AsyncIterator[AsyncClient]:
        """A client that lets the diary know when an answer begins to leave."""

        async def told(scope: Any, receive: Any, send: Any) -> None:
            async def note(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.entries.append(f"answered {message['status']}")
                await send(message)

            await app(scope, receive, note)

        async with AsyncClient(
            transport=ASGITransport(app=told, raise_app_exceptions=False), base_url="http://relevo.test"
        ) as client:
            yield client


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def diary_app(diary: Diary, services: Services) -> FastAPI:
    """Routes that end in every way, and a use case that has something to close as well."""
    app = FastAPI()
    diaries: Any = {"sessions": diary.session, "unit_of_work": lambda _session: diary}
    app.state.services = replace(services, **diaries)
    app.dependency_overrides[caller] = lambda: Caller(org_id=ORG)

    async def use_case(work: UnitOfWorkDep) -> AsyncIterator[None]:
        try:
            yield
        finally:
            diary.entries.append("use case closed")

    opened_use_case = Annotated[None, Depends(use_case, scope="function")]

    @app.get("/good")
    async def good(opened: opened_use_case, client: HttpClientDep) -> str:
        assert opened is None
        assert client is services.http_client
        return "good"

    @app.get("/refused")
    async def refused(opened: opened_use_case) -> None:
        assert opened is None
        raise NotFound

    @app.get("/broken")
    async def broken(opened: opened_use_case) -> None:
        assert opened is None
        raise LookupError

    answer_problems(app)
    return app


@pytest.mark.parametrize(
    ("path", "end", "status"),
    [("/good", "committed", 200), ("/refused", "rolled back", 404), ("/broken", "rolled back", 500)],
)
async def test_what_was_opened_is_closed_in_reverse_before_the_answer(
    diary: Diary, diary_app: FastAPI, path: str, end: str, status: int
) -> None:
    async with diary.told_by_server(diary_app) as client:
        await client.get(path)

    assert diary.entries == ["session opened", "use case closed", end, "session closed", f"answered {status}"]
