"""What a browser is told: nothing may be kept, framed or run, and only pages that were named may call."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI
from httpx import AsyncClient
from jsonschema_rs import meta

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


async def test_the_page_about_the_api_consists_of_files_of_ours_and_may_run_nothing_else(api: AsyncClient) -> None:
    answer = await api.get("http://relevo.test/docs")
    policy = {
        name: sources
        for name, *sources in (part.split() for part in answer.headers["content-security-policy"].split("; "))
    }
    linked = re.findall(r'(?:src|href)="(/docs/[^"]+)"', answer.text)
    served = [await api.get(f"http://relevo.test{address}") for address in linked]

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "://" not in answer.text
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", answer.text)
    assert [file.headers["content-type"].partition(";")[0] for file in served] == [
        "text/css",
        "text/javascript",
        "text/javascript",
    ]
    assert all("immutable" in file.headers["cache-control"] for file in served)
    assert policy == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["data:"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


@pytest.mark.parametrize("name", ["documentation.py", "..%2fdocument.py", "favicon-32x32.png", "__init__.py"])
async def test_no_other_file_is_served_beside_that_page(api: AsyncClient, name: str) -> None:
    assert (await api.get(f"http://relevo.test/docs/{name}")).status_code == 404


async def test_a_file_without_its_version_is_asked_for_each_time(api: AsyncClient) -> None:
    file = await api.get("http://relevo.test/docs/documentation.js?v=of-before")

    assert file.headers["cache-control"] == "no-cache"
    assert file.headers["etag"]


async def test_the_document_that_the_page_loads_is_there_and_is_an_openapi_document(api: AsyncClient) -> None:
    page = (await api.get("http://relevo.test/docs")).text

    (address,) = re.findall(r'data-url="([^"]+)"', page)
    document = await api.get(f"http://relevo.test{address}", headers={"authorization": ""})

    assert document.status_code == 200
    assert document.headers["content-type"].startswith("application/json")
    described = OpenAPI.model_validate(document.json())
    assert described.openapi.startswith("3.1")
    assert len(described.paths or {}) > 40
    for schema in document.json()["components"]["schemas"].values():
        meta.validate(schema)
    pointers = set(re.findall(r'"\$ref":\s*"#/components/schemas/([^"]+)"', document.text))
    assert pointers <= document.json()["components"]["schemas"].keys()


async def test_no_page_may_call_unless_it_was_named(api: AsyncClient) -> None:
    preflight = await api.options("/app", headers=PREFLIGHT)
    answer = await api.get("/app", headers=PAGE)

    assert preflight.status_code == 204
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
