"""Signing in and out, and every request that must not pass: without a session, forged, or with one that has ended."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.api.operations import Operations
from service.api.routes.access import PORTAL
from service.console import pages
from service.console.routes.openid import BEGIN, CALLBACK
from service.domain.ids import ApplicationId
from tests.api.conftest import TOKENS
from tests.api.rights import RIGHTS
from tests.api.walking import HIDDEN, one_of_each
from tests.console.conftest import SITE, Browser, browsing, token_of
from tests.support.factories import ORG

COOKIE = "relevo"
WITHOUT_A_SESSION = {pages.SIGN_IN, PORTAL, BEGIN, CALLBACK}


async def test_a_valid_token_becomes_a_session_whose_cookie_scripts_cannot_read(stranger: Browser) -> None:
    answer = await stranger.sign_in(token_of())

    cookie = answer.headers["set-cookie"]
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/overview")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Max-Age=28800" in cookie.split("; ")
    assert token_of() not in cookie


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", token_of()[:-2], "x" * 20_000])
async def test_an_invalid_token_opens_no_session(stranger: Browser, token: str) -> None:
    answer = await stranger.sign_in(token)

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not valid" in answer.text


async def test_over_tls_the_cookie_is_bound_to_host_and_tls(app: FastAPI) -> None:
    async with browsing(app) as browser:
        answer = await browser.client.post("https://relevo.example/console/sign-in", data={"token": token_of()})

    assert answer.headers["set-cookie"].startswith("__Host-relevo=")
    assert "Secure" in answer.headers["set-cookie"]


async def test_without_tls_nobody_signs_in_but_on_this_machine(stranger: Browser) -> None:
    answer = await stranger.client.post("http://relevo.example/console/sign-in", data={"token": token_of()})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "TLS" in answer.text


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/console/x",
        "/\\evil.example",
        "/console/..//evil.example\\",
        "javascript:alert(1)",
        "/elsewhere",
        "/console/apps\r\nset-cookie: a=b",
        "",
    ],
)
async def test_signing_in_leads_to_our_own_pages_only(stranger: Browser, wanted: str) -> None:
    answer = await stranger.sign_in(token_of(), next=wanted)

    assert answer.headers["location"] == "/console/overview"


async def test_whoever_asks_for_nothing_is_led_to_signing_in_where_the_documentation_is_linked(
    stranger: Browser,
) -> None:
    answers = [await stranger.client.get("/")]
    while "location" in answers[-1].headers:
        answers.append(await stranger.client.get(answers[-1].headers["location"]))

    assert [answer.status_code for answer in answers] == [307, 303, 303, 200]
    assert answers[-1].url.path == "/console/sign-in"
    (linked,) = re.findall(r'<footer.*href="([^"]+)"', answers[-1].text)
    assert (await stranger.client.get(linked)).status_code == 200


async def test_whoever_has_no_session_is_led_to_the_sign_in_and_then_back(stranger: Browser) -> None:
    led = await stranger.get("/apps?limit=3")
    back = await stranger.sign_in(token_of(), next="/console/apps?limit=3")

    assert (led.status_code, led.headers["location"]) == (
        303,
        "/console/sign-in?next=/console/apps%3Flimit%3D3",
    )
    assert back.headers["location"] == "/console/apps?limit=3"


async def test_a_session_that_was_signed_out_is_over_even_for_who_kept_its_cookie(browser: Browser) -> None:
    kept = browser.client.cookies[COOKIE]

    await browser.send("/sign-out")
    browser.client.cookies.set(COOKIE, kept)
    answer = await browser.get("/overview")

    assert answer.status_code == 303


async def test_signing_in_makes_a_new_session_whatever_cookie_there_was(stranger: Browser) -> None:
    stranger.client.cookies.set(COOKIE, f"{ORG}.{'0' * 64}")

    answer = await stranger.sign_in(token_of())

    assert "0" * 64 not in answer.headers["set-cookie"]


@pytest.mark.parametrize("cookie", ["", "x", f"{ORG}.{'g' * 64}", f"{ORG}.{'0' * 64}", "org_.." + "0" * 64])
async def test_a_made_up_cookie_is_no_session(stranger: Browser, cookie: str) -> None:
    stranger.client.cookies.set(COOKIE, cookie)

    assert (await stranger.get("/overview")).status_code == 303


async def test_a_session_ends_with_its_time(browser: Browser, postgres: Database) -> None:
    await postgres.pool.execute("UPDATE console_session SET expires_at = now()")

    assert (await browser.get("/overview")).status_code == 303


async def test_a_session_lasts_no_longer_than_its_token(stranger: Browser) -> None:
    token = TOKENS.mint(ORG, now=datetime.now(UTC), lifetime=timedelta(minutes=10))

    answer = await stranger.sign_in(token)

    seconds = int(re.findall(r"Max-Age=(\d+)", answer.headers["set-cookie"])[0])
    assert 590 <= seconds <= 600


async def test_a_session_ends_when_its_token_is_revoked(stranger: Browser, api: AsyncClient) -> None:
    made = (await api.post("/auth/token", json={"name": "n", "role": "admin"})).json()
    await stranger.sign_in(made["token"])
    before = await stranger.get("/overview")

    (await api.delete(f"/auth/token/{made['id']}")).raise_for_status()
    after = await stranger.get("/overview")

    assert (before.status_code, after.status_code) == (200, 303)


async def test_the_database_keeps_no_secret_of_a_session(browser: Browser, postgres: Database) -> None:
    secret = browser.client.cookies[COOKIE].rpartition(".")[2]

    rows = await postgres.pool.fetch("SELECT console_session::text AS row FROM console_session")

    assert rows
    assert all(secret not in row["row"] and secret.encode().hex() not in row["row"] for row in rows)


def pages_of(app: FastAPI, method: str) -> list[str]:
    """The paths of the console's pages that are asked by this method."""
    routes = [route for route in app.router.routes if isinstance(route, APIRoute)]
    return [
        route.path for route in routes if route.path.startswith(f"{pages.BASE}/") and method in (route.methods or ())
    ]


def test_every_page_needs_the_rights_of_an_operation_of_the_api(app: FastAPI) -> None:
    operations = {
        str(route.operation_id)
        for route in app.router.routes
        if isinstance(route, APIRoute) and route.path.startswith(f"{pages.BASE}/")
    }

    assert len(operations) > 20
    assert {one for one in operations if not one.startswith("console.")} - set(RIGHTS) == set()


async def test_every_form_is_refused_without_proof_that_it_is_from_our_page(browser: Browser, app: FastAPI) -> None:
    paths = [path for path in pages_of(app, "POST") if path not in WITHOUT_A_SESSION]
    proof = {"csrf": browser.csrf}
    ways = {
        "no token": ({"name": "n"}, {"origin": SITE}),
        "another token": ({"csrf": "0" * 64}, {"origin": SITE}),
        "another origin": (proof, {"origin": "https://evil.example"}),
        "a null origin": (proof, {"origin": "null"}),
        "another site": (proof, {"sec-fetch-site": "cross-site"}),
        "a sibling's site": (proof, {"origin": SITE, "sec-fetch-site": "same-site"}),
    }

    passed = {
        (path, way)
        for path in paths
        for way, (fields, headers) in ways.items()
        if (await browser.client.post(path, data=fields, headers=headers)).status_code != 403
    }

    assert len(paths) >= 7
    assert passed == set()


async def test_every_page_but_the_sign_in_and_the_portals_door_wants_a_session(stranger: Browser, app: FastAPI) -> None:
    every = [(method, path) for method in ("GET", "POST") for path in pages_of(app, method)]
    routes = [(method, path) for method, path in every if path not in WITHOUT_A_SESSION]

    answers = {
        (method, path): await stranger.client.request(
            method, path, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        for method, path in routes
    }

    assert len(routes) >= 12
    for (method, path), answer in answers.items():
        wanted = (303, True) if method == "GET" else (401, False)
        assert (answer.status_code, answer.headers.get("location", "").startswith(pages.SIGN_IN)) == wanted, path


async def test_another_sessions_form_token_proves_nothing(app: FastAPI, browser: Browser) -> None:
    async with browsing(app) as other:
        await other.sign_in(token_of())
        await other.get("/apps/new")
        browser.csrf = other.csrf

        answer = await browser.send("/apps/new", name="n")

    assert answer.status_code == 403


async def test_a_customers_session_opens_its_own_application_only(app: FastAPI, api: AsyncClient) -> None:
    own, others = [(await api.post("/app", json={"name": name})).json()["id"] for name in ("own", "others")]
    token = TOKENS.mint_for_application(ApplicationId(own), ORG, now=datetime.now(UTC))

    async with browsing(app) as customer:
        await customer.sign_in(token)
        first = await customer.get("/overview")
        statuses = {
            path: (await customer.get(path)).status_code
            for path in (f"/app/{own}", f"/app/{others}", f"/app/{others}/messages", "/apps", "/apps/new")
        }

    assert first.headers["location"] == f"/console/app/{own}"
    assert statuses == {
        f"/app/{own}": 200,
        f"/app/{others}": 404,
        f"/app/{others}/messages": 404,
        "/apps": 403,
        "/apps/new": 403,
    }


async def test_a_customers_session_finds_nothing_of_another_application_on_any_page(
    app: FastAPI, api: AsyncClient, browser: Browser, postgres: Database
) -> None:
    others = await one_of_each(api, postgres)
    own = (await api.post("/app", json={"name": "own"})).json()["id"]
    token = TOKENS.mint_for_application(ApplicationId(own), ORG, now=datetime.now(UTC))
    every = [(method, path.removeprefix(pages.BASE)) for method in ("GET", "POST") for path in pages_of(app, method)]
    asked = [(method, path, path.format_map(others)) for method, path in every if "{app_id}" in path]
    # Parts of the other application, asked for as if they were of one's own.
    asked += [
        (method, path, path.format_map(others | {"app_id": own}))
        for method, path in every
        if "{app_id}" in path and path.count("{") > 1
    ]

    shown = {
        path: (await browser.get(path.format_map(others))).status_code for method, path, _ in asked if method == "GET"
    }
    async with browsing(app) as customer:
        await customer.sign_in(token)
        await customer.get(f"/app/{own}")
        answers = [await (customer.get(path) if method == "GET" else customer.send(path)) for method, _, path in asked]

    assert len(asked) >= 13
    assert 404 not in shown.values()
    assert {answer.status_code for answer in answers} <= {403, 404}
    assert not any(HIDDEN in answer.text for answer in answers)


async def test_a_reader_sees_and_changes_nothing(stranger: Browser, api: AsyncClient) -> None:
    app_id = (await api.post("/app", json={"name": "an application"})).json()["id"]
    await stranger.sign_in(token_of("reader"))

    seen = await stranger.get(f"/app/{app_id}")
    form = await stranger.get(f"/app/{app_id}/edit")
    sent = await stranger.send(f"/app/{app_id}/edit", name="another")

    assert (seen.status_code, form.status_code, sent.status_code) == (200, 403, 403)
    assert "Edit" not in seen.text
    assert (await api.get(f"/app/{app_id}")).json()["name"] == "an application"


def test_pages_are_audited_when_a_form_is_sent_and_not_when_it_is_shown() -> None:
    shown = {"operation_id": "v1.application.patch", "methods": ["GET"]}
    sent = {"operation_id": "v1.application.patch", "methods": ["POST"]}

    audits = pages.pages().audits

    assert (audits(shown), audits(sent)) == (False, True)
    assert Operations().audits(shown)
