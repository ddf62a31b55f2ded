"""The live page, and the WebSocket behind it: whose session it takes, from which page, and until when."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from service.adapters.postgres.queue.attempt_news import NEWS
from service.adapters.postgres.server.database import Database
from service.api.protocol.sockets import SocketProtocol
from service.api.services import Services
from service.domain import ids
from service.domain.deliveries import Status
from service.domain.ids import ApplicationId, OrgId
from tests.api.conftest import TOKENS
from tests.api.followers import WITHIN, an_attempt, closed, heard
from tests.console.conftest import Browser, token_of
from tests.support.factories import ORG
from tests.support.serving import serving

COOKIE = "relevo"
NEIGHBOURS = OrgId("org_000000000000000000000000002")
BIDI = "https://receiver.example/\u202egnp.exe"


class Site:
    """The console on a real socket, and a browser that is signed in there."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"

    async def sign_in(self, token: str) -> str:
        """The cookie of a new session."""
        async with AsyncClient(base_url=self.origin) as client:
            answer = await client.post("/console/sign-in", data={"token": token}, headers={"origin": self.origin})
            assert answer.status_code == 303
            return "; ".join(f"{name}={text}" for name, text in client.cookies.items())

    @asynccontextmanager
    async def following(
        self,
        app_id: str,
        *,
        cookie: str = "",
        origin: str | None = "",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[ClientConnection]:
        """What the page's script does, with a header `Origin` of its own choice."""
        url = f"ws://127.0.0.1:{self.port}/console/live/ws?app_id={app_id}{query}"
        asked_from = self.origin if origin == "" else origin
        headers = dict(headers or {}) | ({"cookie": cookie} if cookie else {})
        if asked_from is not None:
            headers["origin"] = asked_from
        async with connect(url, additional_headers=headers, proxy=None, open_timeout=WITHIN) as socket:
            yield socket

    async def status_of(self, app_id: str, **how: Any) -> int:
        """The HTTP status with which the offer is refused."""
        with pytest.raises(InvalidStatus) as refused:
            async with self.following(app_id, **how):
                pass
        return refused.value.response.status_code


@pytest.fixture
async def site(app: FastAPI) -> AsyncIterator[Site]:
    async with serving(app, websockets=SocketProtocol) as port:
        yield Site(port)


@pytest.fixture
async def cookie(site: Site) -> str:
    """The cookie of an organisation's admin."""
    return await site.sign_in(token_of())


async def made(site: Site, name: str = "an application", *, token: str = "") -> str:
    headers = {"authorization": f"Bearer {token or token_of()}"}
    async with AsyncClient(base_url=f"{site.origin}/api/v1", headers=headers) as api:
        answer = await api.post("/app", json={"name": name})
        answer.raise_for_status()
        return str(answer.json()["id"])


@pytest.fixture
async def application(site: Site) -> str:
    return await made(site)


async def test_attempts_and_gaps_arrive_as_text_for_the_page(
    site: Site, cookie: str, application: str, postgres: Database
) -> None:
    async with site.following(application, cookie=cookie) as socket:
        first = await heard(socket)
        attempt_id = await an_attempt(postgres, application, event_type="invoice.paid", url=BIDI)
        second = await heard(socket)
        await postgres.pool.execute("SELECT pg_notify($1, $2)", NEWS, f"{application} missed 3")
        third = await heard(socket)

    assert (first, third) == (("ready", {}), ("gap", {"missed": 3}))
    assert second == (
        "attempt",
        {
            "message": "msg_1",
            "at": ids.time_of(attempt_id).isoformat(timespec="milliseconds"),
            "eventType": "invoice.paid",
            "url": "https://receiver.example/[U+202E RIGHT-TO-LEFT OVERRIDE]gnp.exe",
            "state": "delivered",
            "answer": "204",
            "reason": "",
            "duration": "12 ms",
        },
    )


async def test_only_what_the_filters_want_arrives(
    site: Site, cookie: str, application: str, postgres: Database
) -> None:
    async with site.following(application, cookie=cookie, query="&event_types=a.b&status=2") as socket:
        await heard(socket)
        await an_attempt(postgres, application, event_type="a.b")
        await an_attempt(postgres, application, status=Status.FAIL)
        await an_attempt(postgres, application, event_type="a.b", status=Status.FAIL)
        told = await heard(socket)

    assert (told[1]["eventType"], told[1]["state"]) == ("a.b", "failed")


async def test_without_a_session_or_with_a_made_up_one_the_offer_is_refused(site: Site, application: str) -> None:
    made_up = f"{COOKIE}={ORG}.{'0' * 64}"

    statuses = [
        await site.status_of(application),
        await site.status_of(application, cookie=made_up),
        await site.status_of(application, query=f"&token={token_of()}"),
    ]

    assert statuses == [401, 401, 401]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", None])
async def test_a_page_of_another_site_does_not_get_at_the_session(
    site: Site, cookie: str, application: str, origin: str | None
) -> None:
    assert await site.status_of(application, cookie=cookie, origin=origin) == 403


async def test_behind_a_proxy_that_speaks_tls_a_page_of_ours_is_one_of_tls(site: Site, application: str) -> None:
    tls = {"x-forwarded-proto": "https"}
    secure = site.origin.replace("http://", "https://")
    async with AsyncClient(base_url=site.origin, headers=tls | {"origin": secure}) as client:
        answer = await client.post("/console/sign-in", data={"token": token_of()})
    cookie = answer.headers["set-cookie"].partition(";")[0]

    async with site.following(application, cookie=cookie, origin=secure, headers=tls) as socket:
        first = await heard(socket)

    assert cookie.startswith("__Host-relevo=")
    assert first == ("ready", {})
    assert await site.status_of(application, cookie=cookie, headers=tls) == 403, "a page without TLS is another site's"


async def test_another_tenants_session_and_another_customers_are_told_that_there_is_nothing(
    site: Site, application: str
) -> None:
    own = await made(site, "own")
    neighbour = await site.sign_in(TOKENS.mint(NEIGHBOURS, now=datetime.now(UTC)))
    customer = await site.sign_in(TOKENS.mint_for_application(ApplicationId(own), ORG, now=datetime.now(UTC)))

    statuses = [await site.status_of(application, cookie=each) for each in (neighbour, customer)]
    async with site.following(own, cookie=customer) as socket:
        first = await heard(socket)

    assert statuses == [404, 404]
    assert first == ("ready", {})


async def test_a_session_that_is_signed_out_ends_it(
    site: Site, cookie: str, application: str, postgres: Database
) -> None:
    async with site.following(application, cookie=cookie) as socket:
        await heard(socket)
        await postgres.pool.execute("DELETE FROM console_session")
        code = await closed(socket)

    assert code == 4401


async def test_a_session_whose_token_is_revoked_ends_it(site: Site, application: str) -> None:
    admin = {"authorization": f"Bearer {token_of()}"}
    async with AsyncClient(base_url=f"{site.origin}/api/v1", headers=admin) as api:
        listed = (await api.post("/auth/token", json={"name": "n", "role": "reader"})).json()
        cookie = await site.sign_in(listed["token"])
        async with site.following(application, cookie=cookie) as socket:
            await heard(socket)
            (await api.delete(f"/auth/token/{listed['id']}")).raise_for_status()
            code = await closed(socket)

    assert code == 4401


async def test_a_drain_ends_it_at_once(site: Site, cookie: str, application: str, services: Services) -> None:
    async with site.following(application, cookie=cookie) as socket:
        await heard(socket)
        services.attempt_news.end()  # type: ignore[attr-defined] # the runtime's, not the console's
        code = await closed(socket)

    assert code == 1001


async def test_the_page_has_its_filters_its_table_and_a_word_for_who_runs_no_scripts(
    browser: Browser, api: AsyncClient
) -> None:
    app_id = (await api.post("/app", json={"name": "<i>Acme</i>"})).json()["id"]

    page = await browser.get(f"/app/{app_id}/live?event_types=%3Cb%3E&status=2")

    assert page.status_code == 200
    assert f'data-socket="/console/live/ws?app_id={app_id}"' in page.text
    assert 'value="2" selected' in page.text
    assert "This page needs JavaScript" in page.text
    assert "<i>" not in page.text
    assert "<b>" not in page.text


async def test_operators_choose_whose_attempts_to_watch(browser: Browser, api: AsyncClient) -> None:
    app_id = (await api.post("/app", json={"name": "Acme", "uid": "acme"})).json()["id"]

    listed = await browser.get("/live")
    by_uid = await browser.get("/live?app=acme")
    anywhere = await browser.get("/live?app=//evil.example/x")

    assert f'href="/console/app/{app_id}/live"' in listed.text
    assert by_uid.headers["location"] == "/console/app/acme/live"
    assert anywhere.headers["location"] == "/console/app/%2F%2Fevil.example%2Fx/live"


def test_the_script_makes_text_and_no_markup_of_what_it_is_told() -> None:
    script = (files("service.console") / "static" / "live.js").read_text()

    assert "textContent" in script
    assert not [
        way for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", ".style") if way in script
    ]
