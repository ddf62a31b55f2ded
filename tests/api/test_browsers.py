"""What a browser is told: nothing may be kept, framed or run, and only pages that were named may call."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from html.parser import HTMLParser

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


class Page(HTMLParser):
    """What a browser loads and runs for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.inline: list[str] = []
        self.links: dict[str, str] = {}
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._within = tag
        if tag == "script" and (source := given.get("src")):
            self.scripts.append(source)
            self._within = ""
        elif tag == "link":
            self.links[given.get("rel") or ""] = given.get("href") or ""

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.inline.append(data)


async def test_the_page_about_the_api_may_run_what_it_consists_of_and_nothing_else(api: AsyncClient) -> None:
    answer = await api.get("http://relevo.test/docs")
    page = Page()
    page.feed(answer.text)
    policy = {
        name: sources
        for name, *sources in (part.split() for part in answer.headers["content-security-policy"].split("; "))
    }
    digests = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in page.inline]

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (len(page.scripts), len(page.inline)) == (1, 1)
    assert policy.pop("script-src") == [*page.scripts, *digests]
    assert policy.pop("style-src") == ["'unsafe-inline'", page.links["stylesheet"]]
    icon = page.links["shortcut icon"]
    assert [icon.startswith(f"{source}/") for source in policy.pop("img-src")] == [False, True]
    assert policy == {
        "default-src": ["'none'"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }


async def test_the_document_that_the_page_loads_is_there_and_is_an_openapi_document(api: AsyncClient) -> None:
    page = (await api.get("http://relevo.test/docs")).text

    (address,) = re.findall(r"url: '([^']+)'", page)
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


async def test_whoever_asks_for_nothing_is_led_to_the_page(api: AsyncClient) -> None:
    answer = await api.get("http://relevo.test/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


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
