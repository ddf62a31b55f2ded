"""What a browser is told: nothing may be kept, framed or run, and only pages that were named may call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.api.app import create_app
from service.api.services import Services
from tests.api.conftest import serving

PAGE = {"origin": "https://console.example.com"}
PREFLIGHT = {**PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}


@pytest.mark.parametrize("path", ["/app", "/app/unknown", "/nowhere", "/health"])
async def test_every_answer_of_the_api_carries_the_headers(api: AsyncClient, path: str) -> None:
    headers = (await api.get(path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


async def test_the_pages_about_the_api_can_run_their_scripts(api: AsyncClient) -> None:
    headers = (await api.get("http://relevo.test/docs")).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" not in headers


async def test_no_page_may_call_unless_it_was_named(api: AsyncClient) -> None:
    preflight = await api.options("/app", headers=PREFLIGHT)
    answer = await api.get("/app", headers=PAGE)

    assert preflight.status_code == 405
    assert not [name for name in (*preflight.headers, *answer.headers) if name.startswith("access-control-")]


async def test_a_page_that_was_named_may_call_with_a_token_and_without_cookies(services: Services) -> None:
    async with serving(_open_to_pages(services)) as api:
        preflight = await api.options("/app", headers=PREFLIGHT)
        answer = await api.get("/app", headers=PAGE)
        stranger = await api.get("/app", headers={"origin": "https://elsewhere.example.com"})

    assert preflight.headers["access-control-allow-origin"] == PAGE["origin"]
    assert answer.headers["access-control-allow-origin"] == PAGE["origin"]
    assert "access-control-allow-credentials" not in preflight.headers
    assert "access-control-allow-origin" not in stranger.headers


def _open_to_pages(services: Services) -> FastAPI:
    @asynccontextmanager
    async def handed(services: Services) -> AsyncIterator[Services]:
        yield services

    return create_app(partial(handed, services), cors_origins=[PAGE["origin"]])
