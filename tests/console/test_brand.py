"""The brand of the portal: set by an admin, seen by customers, and what of it a page may load."""

import re
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.console import branding
from service.console.pages import POLICY
from service.domain.brands import TEXT_CONTRAST, contrast
from service.domain.ids import OrgId
from tests.api.conftest import TOKENS
from tests.console.conftest import Browser, browsing, made, token_of

OTHER = OrgId("org_000000000000000000000000002")
LOGO = "https://cdn.example.com/logo.svg"
ACME = {"name": "Acme & Sons", "logoUrl": LOGO, "accent": "#FFEE00"}


@pytest.fixture
async def link(api: AsyncClient) -> str:
    """A link of a customer's application."""
    app_id = await made(api, "/app", name="n")
    return str((await api.post(f"/auth/app-portal-access/{app_id}", json={})).json()["url"])


async def test_customers_see_the_brand_in_place_of_relevo(app: FastAPI, browser: Browser, link: str) -> None:
    kept = await browser.send("/brand", **ACME)
    operator = await browser.get("/apps")
    async with browsing(app) as customer:
        door = await customer.get("/portal")
        opened = await customer.open_portal(link)
        pages = [
            await customer.get(opened.headers["location"].removeprefix("/console") + part) for part in ("", "/messages")
        ]
        refused = await customer.get("/apps")

    assert kept.status_code == 303
    for page in (*pages, refused):
        assert "Acme &amp; Sons" in page.text
        assert "Relevo" not in page.text
        assert "/docs" not in page.text, "which is for who sends messages, and nobody embeds it"
        assert f'<img src="{LOGO}" alt="">' in page.text
        assert "img-src 'self' https://cdn.example.com;" in page.headers["content-security-policy"]
    assert "Relevo" not in door.text
    assert "Acme" not in operator.text
    assert operator.headers["content-security-policy"] == door.headers["content-security-policy"] == POLICY


async def test_the_colour_comes_as_a_style_sheet_of_the_organisation(app: FastAPI, browser: Browser, link: str) -> None:
    await browser.send("/brand", **ACME)
    async with browsing(app) as customer:
        opened = await customer.open_portal(link)
        page = await customer.get(opened.headers["location"].removeprefix("/console"))
        (address,) = re.findall(r'<link rel="stylesheet" href="/console(/brand\.css[^"]+)">', page.text)
        sheet = await customer.get(address)
    operators = await browser.get("/brand.css")

    assert (sheet.status_code, sheet.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "--fill: #ffee00; --on-fill: #000000" in sheet.text
    assert sheet.headers["cache-control"].startswith("private")
    assert operators.text == ""


@pytest.mark.parametrize("ground", [branding.LIGHT, branding.DARK])
def test_links_are_readable_on_the_grounds_of_the_pages(ground: str) -> None:
    css = files("service.console").joinpath("static/console.css").read_text()
    grounds = re.findall(r"--(?:ground|card): (#[0-9a-f]{3,6});", css)
    full = {one if len(one) == 7 else "#" + "".join(digit * 2 for digit in one[1:]) for one in grounds}
    alike = [one for one in full if (contrast(one, "#000000") > TEXT_CONTRAST) == (ground == branding.LIGHT)]

    assert ground in full
    assert min(alike, key=lambda one: contrast(one, "#000000" if ground == branding.LIGHT else "#ffffff")) == ground


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 61),
        ("logoUrl", "http://cdn.example.com/logo.png"),
        ("logoUrl", "https://cdn.example.com;script-src/logo.png"),
        ("accent", "red"),
        ("accent", "#fff;} * { display: none"),
    ],
)
async def test_what_is_no_brand_is_refused_at_its_field(
    browser: Browser, postgres: Database, field: str, value: str
) -> None:
    answer = await browser.send("/brand", **(ACME | {field: value}))

    assert answer.status_code == 422
    assert re.search(rf'id="{field}"[^>]*aria-invalid="true"', answer.text)
    assert await postgres.pool.fetchval("SELECT count(*) FROM portal_brand") == 0


async def test_a_brand_is_changed_and_removed_and_the_trail_tells(browser: Browser, api: AsyncClient) -> None:
    await browser.send("/brand", **ACME)
    await browser.send("/brand", name="Other")
    changed = await browser.get("/brand")
    await browser.send("/brand", remove="yes")
    removed = await browser.get("/brand")

    assert 'value="Other"' in changed.text
    assert LOGO not in changed.text
    assert "Other" not in removed.text
    told = [event["action"] for event in (await api.get("/audit")).json()["data"]]
    assert told == ["portal_brand.changed"] * 3


async def test_a_brand_that_is_markup_is_shown_as_text(app: FastAPI, browser: Browser, link: str) -> None:
    await browser.send("/brand", name="<script>alert(1)</script>")
    async with browsing(app) as customer:
        opened = await customer.open_portal(link)
        page = await customer.get(opened.headers["location"].removeprefix("/console"))

    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


@pytest.mark.parametrize("role", ["reader", "writer"])
async def test_only_an_admin_sets_the_brand(stranger: Browser, role: str) -> None:
    await stranger.sign_in(token_of(role))
    apps = await stranger.get("/apps")

    form, sent = await stranger.get("/brand"), await stranger.send("/brand", **ACME)

    assert (form.status_code, sent.status_code) == (403, 403)
    assert "/console/brand" not in apps.text


async def test_a_customer_sets_no_brand(stranger: Browser, link: str) -> None:
    opened = await stranger.open_portal(link)
    await stranger.get(opened.headers["location"].removeprefix("/console"))

    assert (await stranger.send("/brand", **ACME)).status_code == 403


async def test_another_organisations_brand_is_its_own(app: FastAPI, browser: Browser, link: str) -> None:
    other = TOKENS.mint(OTHER, now=datetime.now(UTC))
    async with browsing(app) as operator:
        await operator.sign_in(other)
        await operator.get("/brand")
        await operator.send("/brand", **ACME)
    async with browsing(app) as customer:
        opened = await customer.open_portal(link)
        page = await customer.get(opened.headers["location"].removeprefix("/console"))

    assert "Acme" not in page.text
    assert "Acme" not in (await browser.get("/brand")).text
