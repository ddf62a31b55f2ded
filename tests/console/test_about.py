"""What the console tells of itself: versions and links, and nothing that is secret."""

import asyncio
import platform
import re
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database, dsn
from service.adapters.postgres.server.wakeups import Wakeups
from service.api.services import Services
from service.console.routes.about import origin_of
from service.domain.ids import ApplicationId
from tests.api.conftest import TOKENS, Handed
from tests.console.conftest import Browser, browsing, token_of
from tests.support.factories import ORG
from tests.support.patience import patient


async def test_versions_are_those_of_what_runs(browser: Browser, postgres: Database) -> None:
    page = await browser.get("/about")

    schema = await postgres.pool.fetchval("SELECT version_num FROM alembic_version")
    database = await postgres.pool.fetchval("SHOW server_version")
    for said in (version("relevo"), platform.python_version(), schema, database):
        assert f"{said}</dd>" in page.text
    assert 'href="/docs"' in page.text
    assert 'href="/api/v1/openapi.json"' in page.text
    assert "RELEVO_TRACE_URL" in page.text


async def test_processes_at_work_are_told_and_that_there_are_none(
    browser: Browser, postgres: Database, database: str
) -> None:
    none = await browser.get("/about")

    async with Wakeups(dsn(database), role="worker").running(), asyncio.timeout(patient(10)):
        while "<td>worker</td>" not in (page := await browser.get("/about")).text:
            pass

    assert "No process has its connection" in none.text
    assert re.search(r"<td>worker</td><td><time datetime=", page.text)


async def test_traces_are_linked_where_they_are_shown(
    app: FastAPI, services: Services, shared_console: tuple[FastAPI, Handed]
) -> None:
    handed = shared_console[1]
    handed.services = replace(services, trace_url="https://user:password@jaeger.example:8443/trace/{trace_id}?x")

    async with browsing(app) as browser:
        await browser.sign_in(token_of("reader"))
        page = await browser.get("/about")

    assert 'href="https://jaeger.example:8443/"' in page.text
    assert "password" not in page.text


@pytest.mark.parametrize(
    ("url", "origin"),
    [("http://[::1]:16686/trace/{trace_id}", "http://[::1]:16686/"), ("https://a@b@c/x", "https://c/")],
)
def test_a_link_has_neither_user_nor_password(url: str, origin: str) -> None:
    assert origin_of(url) == origin


async def test_a_customer_is_not_told(app: FastAPI, api: AsyncClient) -> None:
    app_id = (await api.post("/app", json={"name": "n"})).json()["id"]

    async with browsing(app) as customer:
        await customer.sign_in(TOKENS.mint_for_application(ApplicationId(app_id), ORG, now=datetime.now(UTC)))
        page, own = await customer.get("/about"), await customer.get(f"/app/{app_id}")

    assert page.status_code == 403
    assert "/console/about" not in own.text
