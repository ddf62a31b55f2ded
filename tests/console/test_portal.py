"""The portal: links that open it, and what whoever comes by one may see."""

import re
from html import unescape
from typing import get_args
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.application.access import Capability
from service.console import words
from tests.console.conftest import SITE, Browser, browsing, made, token_of


@pytest.fixture
async def own(api: AsyncClient) -> str:
    """The id of the customer's application."""
    return await made(api, "/app", name="the customer's", uid="own")


async def link_of(api: AsyncClient, app_id: str, **body: object) -> str:
    """A link that the API gives."""
    answer = await api.post(f"/auth/app-portal-access/{app_id}", json=body)
    answer.raise_for_status()
    return str(answer.json()["url"])


@pytest.mark.parametrize("operation", ["app-portal-access", "dashboard-access"])
async def test_the_api_gives_a_link_whose_token_is_in_its_fragment_alone(
    api: AsyncClient, own: str, operation: str
) -> None:
    granted = (await api.post(f"/auth/{operation}/{own}", json={})).json()

    assert granted["url"] == f"{SITE}/console/portal#token={granted['token']}"


async def test_a_refreshed_token_comes_with_its_link(api: AsyncClient, own: str) -> None:
    token = (await link_of(api, own)).partition("#token=")[2]

    fresh = (await api.post("/auth/refresh", headers={"authorization": f"Bearer {token}"})).json()

    assert fresh["token"] != token
    assert fresh["url"] == f"{SITE}/console/portal#token={fresh['token']}"


async def test_a_link_opens_a_session_of_its_application(api: AsyncClient, stranger: Browser, own: str) -> None:
    address = urlsplit(await link_of(api, own))
    door = await stranger.client.get(address.path)
    token = address.fragment.removeprefix("token=")

    opened = await stranger.client.post(address.path, data={"token": token}, headers={"origin": SITE})
    application = await stranger.client.get(opened.headers["location"])

    assert (door.status_code, opened.status_code, application.status_code) == (200, 303, 200)
    assert opened.headers["location"] == f"/console/app/{own}"
    assert "the customer&#39;s" in application.text
    assert token not in opened.headers["set-cookie"]
    assert re.findall(r'<script[^>]*src="(/console/static/portal\.js[^"]*)"></script>', door.text)


async def test_the_navigation_marks_one_page_only(api: AsyncClient, stranger: Browser, own: str) -> None:
    msg_id = await made(api, f"/app/{own}/msg", eventType="a.b", payload={})
    await stranger.open_portal(await link_of(api, own))

    marked = {
        path: re.findall(r'aria-current="page">([^<]+)</a>', (await stranger.get(f"/app/{own}{path}")).text)
        for path in ("", "/messages", f"/msg/{msg_id}", "/live", "/endpoints/new")
    }

    assert [*marked.values()] == [["Endpoints"], ["Messages"], ["Messages"], ["Live"], ["Endpoints"]]


async def test_without_scripts_the_link_is_pasted_as_a_whole(api: AsyncClient, stranger: Browser, own: str) -> None:
    answer = await stranger.open_portal(await link_of(api, own))

    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/app/{own}")


async def test_a_link_may_be_opened_again_while_it_holds(app: FastAPI, api: AsyncClient, own: str) -> None:
    link = await link_of(api, own)

    for _ in range(2):
        async with browsing(app) as browser:
            assert (await browser.open_portal(link)).status_code == 303


async def test_what_is_no_link_of_a_portal_opens_nothing(api: AsyncClient, stranger: Browser, own: str) -> None:
    revoked = await link_of(api, own)
    (await api.post(f"/auth/app/{own}/expire-all", json={})).raise_for_status()
    refused = {"empty": "", "a word": "nonsense", "half": revoked[:-9], "revoked": revoked, "operator": token_of()}

    answers = {name: await stranger.open_portal(link) for name, link in refused.items()}

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(refused, 401)
    for name, answer in answers.items():
        assert "set-cookie" not in answer.headers
        assert "This link does not hold" in answer.text
        assert not refused[name] or refused[name] not in answer.text


async def test_what_a_link_opened_ends_when_the_customers_tokens_are_ended(
    api: AsyncClient, stranger: Browser, own: str
) -> None:
    await stranger.open_portal(await link_of(api, own))
    before = await stranger.get(f"/app/{own}")

    (await api.post(f"/auth/app/{own}/expire-all", json={})).raise_for_status()
    after = await stranger.get(f"/app/{own}")

    assert (before.status_code, after.status_code) == (200, 303)


async def test_another_sites_page_opens_no_portal(api: AsyncClient, stranger: Browser, own: str) -> None:
    link = await link_of(api, own)
    ways = (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": SITE, "sec-fetch-site": "same-site"},
    )

    answers = [await stranger.client.post("/console/portal", data={"token": link}, headers=way) for way in ways]

    assert [answer.status_code for answer in answers] == [403] * len(ways)
    assert not any("set-cookie" in answer.headers for answer in answers)


async def test_without_tls_no_portal_is_opened_but_on_this_machine(
    api: AsyncClient, stranger: Browser, own: str
) -> None:
    answer = await stranger.client.post("http://relevo.example/console/portal", data={"token": await link_of(api, own)})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "TLS" in answer.text


async def test_an_operator_makes_a_link_for_what_was_ticked_and_as_long_as_was_chosen(
    app: FastAPI, api: AsyncClient, browser: Browser, own: str
) -> None:
    form = await browser.get(f"/app/{own}/portal-link")

    answer = await browser.send(f"/app/{own}/portal-link", capabilities=["ViewBase", "CreateAttempts"], expiry="3600")

    link = link_in(answer.text)
    async with browsing(app) as customer:
        opened = await customer.open_portal(link)
        seconds = int(re.findall(r"Max-Age=(\d+)", opened.headers["set-cookie"])[0])
        page = await customer.get(f"/app/{own}")
        created = await customer.send(f"/app/{own}/edit", name="another")
    bearer = {"authorization": f"Bearer {link.partition('#token=')[2]}"}
    endpoint = await api.post(f"/app/{own}/endpoint", json={"url": "https://receiver.example/"}, headers=bearer)
    (event,) = [one for one in (await api.get("/audit")).json()["data"] if one["action"] == "token.granted"]
    assert form.status_code == answer.status_code == 200
    assert (opened.status_code, page.status_code) == (303, 200)
    assert 3500 < seconds <= 3600
    assert "New endpoint" not in page.text
    assert (created.status_code, endpoint.status_code) == (403, 403)
    assert event["appId"] == own
    assert link not in (await browser.get(f"/app/{own}/portal-link")).text


def link_in(page: str) -> str:
    """The portal link that the page shows."""
    return unescape(re.findall(r'<pre id="link"[^>]*>([^<]+)</pre>', page)[0])


async def test_a_link_that_cannot_be_is_refused_at_its_field(browser: Browser, own: str) -> None:
    path = f"/app/{own}/portal-link"
    await browser.get(path)

    short = await browser.send(path, capabilities=["ViewBase"], expiry="60")
    blind = await browser.send(path, capabilities=["CreateAttempts"], expiry="3600")
    unknown = await browser.send(path, capabilities=["ViewBase", "Everything"], expiry="3600")

    assert [answer.status_code for answer in (short, blind, unknown)] == [422] * 3
    assert all("#token=" not in answer.text for answer in (short, blind, unknown))
    assert 'class="problem"' in short.text
    assert "ViewBase is always required" in blind.text


@pytest.mark.parametrize("role", ["reader", "writer"])
async def test_who_is_no_admin_makes_no_link(stranger: Browser, own: str, role: str) -> None:
    await stranger.sign_in(token_of(role))
    page = await stranger.get(f"/app/{own}")

    form = await stranger.get(f"/app/{own}/portal-link")
    sent = await stranger.send(f"/app/{own}/portal-link", capabilities=["ViewBase"], expiry="3600")

    assert (form.status_code, sent.status_code) == (403, 403)
    assert "portal-link" not in page.text


def test_every_capability_that_opens_something_can_be_ticked() -> None:
    assert words.CAPABILITIES.keys() | {"ViewBase", "ManageTransformations"} == set(get_args(Capability))
