"""Behind a proxy that has Relevo below a path of its host: browsers are led to that path, which the proxy takes off."""

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from httpx import Response

from service.api.addresses import prefix_of
from tests.console.conftest import Browser, token_of

HOST, PREFIX = "https://relevo.example.com", "/hooks"
PLACES = ["/sign-in", "/overview", "/apps", "/apps/new", "/event-types", "/tasks", "/audit", "/about", "/app/unknown"]


@pytest.fixture(autouse=True)
def below_a_path(app: FastAPI) -> Iterator[None]:
    """While the public URL has a path."""
    app.state.public_url = f"{HOST}{PREFIX}"
    yield
    app.state.public_url = None


async def asked(browser: Browser, path: str) -> Response:
    """What the proxy gets for its own path."""
    return await browser.client.get(f"{HOST}{path}")


@pytest.fixture
async def operator(stranger: Browser) -> Browser:
    """A browser that has signed in there."""
    signed_in = await stranger.client.post(
        f"{HOST}/console/sign-in", data={"token": token_of()}, headers={"origin": HOST}
    )
    assert signed_in.headers["location"] == f"{PREFIX}/console/overview"
    return stranger


@pytest.mark.parametrize("path", PLACES)
async def test_every_address_on_a_page_is_below_the_path(operator: Browser, path: str) -> None:
    page = await asked(operator, f"/console{path}")

    addresses = re.findall(r'(?:href|src|action|data-socket)="([^"#?][^"]*)"', page.text)
    assert page.status_code in {200, 404}
    assert len(addresses) > 3
    assert [one for one in addresses if not one.startswith(f"{PREFIX}/")] == []
    for address in addresses:
        if "/static/" in address or "/docs" in address:
            assert (await asked(operator, address.removeprefix(PREFIX))).status_code == 200


async def test_whoever_is_led_on_is_led_below_the_path(stranger: Browser) -> None:
    led = [(await asked(stranger, path)).headers["location"] for path in ("/", "/console", "/console/apps?limit=2")]

    assert led == [
        f"{PREFIX}/console",
        f"{PREFIX}/console/overview",
        f"{PREFIX}/console/sign-in?next=/console/apps%3Flimit%3D2",
    ]


async def test_a_page_of_a_list_and_a_form_lead_below_the_path(operator: Browser) -> None:
    form = await asked(operator, "/console/apps/new")
    (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', form.text))

    made = await operator.client.post(
        f"{HOST}/console/apps/new", data={"name": "n", "csrf": csrf}, headers={"origin": HOST}
    )
    page = await asked(operator, made.headers["location"].removeprefix(PREFIX))

    assert (made.status_code, page.status_code) == (303, 200)
    assert re.findall(r'aria-current="page">([^<]+)</a>', page.text) == ["Applications"]


async def test_the_documentation_is_below_the_path_too(stranger: Browser) -> None:
    page = await asked(stranger, "/docs")

    assert re.findall(r'(?:href|src|data-url)="(/[^"?]+)', page.text) == [
        f"{PREFIX}/docs/swagger-ui.css",
        f"{PREFIX}/docs/swagger-ui-bundle.js",
        f"{PREFIX}/docs/documentation.js",
        f"{PREFIX}/api/v1/openapi.json",
        f"{PREFIX}/api/v1/openapi.json",
    ]


@pytest.mark.parametrize(
    ("public_url", "prefix"),
    [(None, ""), (HOST, ""), (f"{HOST}/", ""), (f"{HOST}/a/b", "/a/b"), ("http://[::1]:8000/x", "/x")],
)
def test_the_prefix_is_the_path_of_the_public_url(public_url: str | None, prefix: str) -> None:
    assert prefix_of(public_url) == prefix
