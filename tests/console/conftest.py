"""The console on a real database, asked as a browser asks: cookies are kept, redirections are not followed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from service.api.app import create_app
from service.api.services import Services
from service.console.app import add_console
from tests.api.conftest import (  # noqa: F401  # fixtures of the API that the console stands on
    TOKENS,
    Handed,
    database,
    postgres,
    services,
)
from tests.support.factories import ORG

SITE = "http://localhost:8000"


@pytest.fixture(scope="session")
def shared_console() -> tuple[FastAPI, Handed]:
    """The application with the console, made once."""
    handed = Handed()
    app = create_app(handed.opened)
    add_console(app)
    return app, handed


@pytest.fixture
def app(shared_console: tuple[FastAPI, Handed], services: Services) -> FastAPI:  # noqa: F811  # the fixture
    """The application, not yet serving."""
    app, handed = shared_console
    handed.services = services
    return app


class Browser:
    """A browser with the cookies of a session, which sends forms as a page of ours would."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.csrf = ""

    async def sign_in(self, token: str, **fields: str) -> Response:
        return await self.client.post("/console/sign-in", data={"token": token, **fields}, headers={"origin": SITE})

    async def open_portal(self, link: str) -> Response:
        return await self.client.post("/console/portal", data={"token": link}, headers={"origin": SITE})

    async def get(self, path: str) -> Response:
        answer = await self.client.get(f"/console{path}")
        mark = 'name="csrf" value="'
        if mark in answer.text:
            self.csrf = answer.text.partition(mark)[2].partition('"')[0]
        return answer

    async def send(self, path: str, **fields: str | list[str]) -> Response:
        form: dict[str, str | list[str]] = {"csrf": self.csrf, **fields}
        return await self.client.post(f"/console{path}", data=form, headers={"origin": SITE})


@asynccontextmanager
async def browsing(app: FastAPI) -> AsyncIterator[Browser]:
    """A browser that has not signed in."""
    transport = ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), AsyncClient(transport=transport, base_url=SITE) as client:
        yield Browser(client)


async def made(api: AsyncClient, path: str, **body: object) -> str:
    """The id of what the API made."""
    answer = await api.post(path, json=body)
    answer.raise_for_status()
    return str(answer.json()["id"])


def token_of(role: str = "admin") -> str:
    """A token of the organisation."""
    return TOKENS.mint(ORG, now=datetime.now(UTC), role=role)  # type: ignore[arg-type]  # one of three words


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[Browser]:
    """A browser that has not signed in."""
    async with browsing(app) as browser:
        yield browser


@pytest.fixture
async def browser(stranger: Browser) -> Browser:
    """A browser signed in as an organisation's admin, on the overview."""
    answer = await stranger.sign_in(token_of())
    assert answer.status_code == 303
    assert (await stranger.get("/overview")).status_code == 200
    return stranger


@pytest.fixture
async def api(app: FastAPI, stranger: Browser) -> AsyncIterator[AsyncClient]:
    """The API of the same application, asked by the organisation's admin."""
    headers = {"authorization": f"Bearer {token_of()}"}
    transport = ASGITransport(app=app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url=f"{SITE}/api/v1", headers=headers) as client:
        yield client
