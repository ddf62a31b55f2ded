"""Search: every id and name leads to its thing, nobody finds what is another's, and every look-up is by index."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.repositories.searches import ATTEMPT, ENDPOINT, MESSAGE, NAMED
from service.adapters.postgres.server.database import Database, dsn
from service.domain.ids import ApplicationId, OrgId
from tests.adapters.test_plans import scanned
from tests.api.conftest import TOKENS
from tests.api.walking import Things, one_of_each
from tests.console.conftest import Browser, browsing
from tests.support.factories import ORG

NEIGHBOUR = OrgId("org_1srOrx2ZWZBpBUvZwXKQmoEYga9")
MARKUP = """<script>alert(1)</script>"'&"""


@pytest.fixture
async def things(api: AsyncClient, postgres: Database) -> Things:
    """One thing of each kind, by the names that paths have for them."""
    return await one_of_each(api, postgres)


@pytest.fixture
async def customer(app: FastAPI, api: AsyncClient) -> AsyncIterator[Browser]:
    """Another application's customer."""
    app_id = (await api.post("/app", json={"name": "another", "uid": "another"})).json()["id"]
    async with browsing(app) as browser:
        await browser.sign_in(TOKENS.mint_for_application(ApplicationId(app_id), ORG, now=datetime.now(UTC)))
        yield browser


@pytest.fixture
async def neighbour(app: FastAPI) -> AsyncIterator[Browser]:
    """Another organisation's admin."""
    async with browsing(app) as browser:
        await browser.sign_in(TOKENS.mint(NEIGHBOUR, now=datetime.now(UTC)))
        yield browser


async def led(browser: Browser, asked: str) -> str:
    """Where the search leads; empty when it lists, or finds nothing."""
    answer = await browser.client.get("/console/search", params={"q": asked})
    assert answer.status_code in {200, 303}
    return str(answer.headers.get("location", ""))


@pytest.mark.parametrize(
    ("named", "page"),
    [
        ("app_id", "/app/{app_id}"),
        ("endpoint_id", "/app/{app_id}/endpoint/{endpoint_id}"),
        ("msg_id", "/app/{app_id}/msg/{msg_id}"),
        ("attempt_id", "/app/{app_id}/msg/{msg_id}#{attempt_id}"),
        ("task_id", "/tasks/{task_id}"),
        ("organisation_task_id", "/tasks/{organisation_task_id}"),
    ],
)
async def test_each_id_leads_to_its_thing(browser: Browser, things: Things, named: str, page: str) -> None:
    assert await led(browser, f"  {things[named]} ") == "/console" + page.format_map(things)


async def test_names_lead_to_their_things(browser: Browser, api: AsyncClient) -> None:
    app_id = (await api.post("/app", json={"name": "n", "uid": "acme"})).json()["id"]
    body = {"url": "http://127.0.0.1:9/", "uid": "production"}
    endpoint = (await api.post(f"/app/{app_id}/endpoint", json=body)).json()["id"]
    sent = {"eventType": "a.b", "eventId": "invoice-42", "payload": {}}
    message = (await api.post(f"/app/{app_id}/msg", json=sent)).json()["id"]

    assert await led(browser, "acme") == f"/console/app/{app_id}"
    assert await led(browser, "production") == f"/console/app/{app_id}/endpoint/{endpoint}"
    assert await led(browser, "invoice-42") == f"/console/app/{app_id}/msg/{message}"
    assert await led(browser, "acme invoice-42") == f"/console/app/{app_id}/msg/{message}"
    assert await led(browser, f"{app_id} production") == f"/console/app/{app_id}/endpoint/{endpoint}"


async def test_several_things_of_one_name_are_listed_and_one_of_them_is_found_in_its_application(
    browser: Browser, api: AsyncClient
) -> None:
    found = []
    for uid in ("first", "second"):
        app_id = (await api.post("/app", json={"name": f"{MARKUP} {uid}", "uid": uid})).json()["id"]
        sent = {"eventType": "a.b", "eventId": "first", "payload": {}}
        message = (await api.post(f"/app/{app_id}/msg", json=sent)).json()["id"]
        found.append(f"/console/app/{app_id}/msg/{message}")

    listed = await browser.get("/search?q=first")

    assert listed.status_code == 200
    assert [f'href="{path}"' in listed.text for path in found] == [True, True]
    assert listed.text.count("<td>Application</td>") == 1
    assert "<script>alert" not in listed.text
    assert await led(browser, "second first") == found[1]


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "  ",
        "nothing-has-this",
        "msg_1srOrx2ZWZBpBUvZwXKQmoEYga2",
        "a b c",
        "\x00",
        MARKUP,
        "x" * 5_000,
        "u\u202e",
        "app_",
    ],
)
async def test_what_nothing_has_says_what_can_be_searched(browser: Browser, things: Things, asked: str) -> None:
    answer = await browser.client.get("/console/search", params={"q": asked})

    assert answer.status_code == 200
    assert things["app_id"] not in answer.text
    assert "A message by its id" in answer.text
    assert "<script>alert" not in answer.text
    assert "\u202e" not in answer.text
    assert ("Nothing has the id" in answer.text) == bool(asked.strip())


async def test_a_traces_id_is_told_where_to_look(browser: Browser) -> None:
    trace, other = await browser.get(f"/search?q={'4bf92f3577b34da6' * 2}"), await browser.get("/search?q=4bf92f")

    assert ("relevo.message.id" in trace.text, "relevo.message.id" in other.text) == (True, False)


async def test_nobody_finds_what_is_anothers(
    browser: Browser, api: AsyncClient, things: Things, customer: Browser, neighbour: Browser
) -> None:
    app_id = things["app_id"]
    body = {"url": "http://127.0.0.1:9/", "uid": "production"}
    (await api.post(f"/app/{app_id}/endpoint", json=body)).raise_for_status()
    sent = {"eventType": "a.b", "eventId": "invoice-42", "payload": {}}
    (await api.post(f"/app/{app_id}/msg", json=sent)).raise_for_status()
    names = ["app_id", "endpoint_id", "msg_id", "attempt_id", "task_id", "organisation_task_id"]
    asked = [
        *(things[name] for name in names),
        "mine",
        "production",
        "invoice-42",
        "mine production",
        "mine invoice-42",
    ]

    own = [await led(browser, one) for one in asked]
    customers = [await led(customer, one) for one in asked]
    neighbours = [await led(neighbour, one) for one in asked]

    assert all(own)
    assert [path for path in customers + neighbours if path] == []


async def test_a_customer_finds_what_is_its_own(app: FastAPI, api: AsyncClient, things: Things) -> None:
    token = TOKENS.mint_for_application(ApplicationId(things["app_id"]), ORG, now=datetime.now(UTC))
    names = ["app_id", "endpoint_id", "msg_id", "attempt_id", "task_id"]

    async with browsing(app) as browser:
        await browser.sign_in(token)
        found = [await led(browser, things[name]) for name in names]
        by_name = await led(browser, "mine")
        of_organisation = await led(browser, things["organisation_task_id"])

    assert [path.rpartition("/")[2].rpartition("#")[2] for path in found] == [things[name] for name in names]
    assert (by_name, of_organisation) == (f"/console/app/{things['app_id']}", "")


async def test_what_was_deleted_is_not_found(browser: Browser, api: AsyncClient, things: Things) -> None:
    (await api.delete(f"/app/{things['app_id']}")).raise_for_status()

    found = [await led(browser, things[name]) for name in ("app_id", "endpoint_id", "msg_id", "attempt_id")]

    assert found == ["", "", "", ""]


FILL = (
    "INSERT INTO application (id, org_id, name, metadata, created_at, updated_at)"
    " SELECT 'app_' || n, 'org', '', '{}', now(), now() FROM generate_series(1, 3000) n",
    "INSERT INTO endpoint (id, org_id, app_id, uid, url, description, version, disabled, metadata, secrets, headers,"
    " created_at, updated_at)"
    " SELECT 'ep_' || n, 'org', 'app_' || n, 'u', '', '', 1, false, '{}', '', '', now(), now()"
    " FROM generate_series(1, 3000) n",
    "INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)"
    " SELECT 'msg_' || n, 'org', 'app_' || n % 3000, 't', '{}', now(), '' FROM generate_series(1, 30000) n",
    "INSERT INTO event_id SELECT 'app_1', n::text, 'msg_' || n FROM generate_series(1, 30000) n",
    "INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, url, status, response,"
    " response_status_code, duration_ms, trigger, number)"
    " SELECT 'atmpt_' || n, 'org', 'app_1', 'msg_1', 'ep_1', 't', '', 0, '', 200, 1, 0, 1"
    " FROM generate_series(1, 30000) n",
    "ANALYZE",
)


@pytest.mark.own_database
async def test_every_search_reads_by_index(database: str) -> None:
    connection = await asyncpg.connect(dsn(database))
    for statement in FILL:
        await connection.execute(statement)

    read = {
        app_id: [
            await scanned(connection, *ENDPOINT(org="org", id="ep_1", app=app_id)),
            await scanned(connection, *MESSAGE(org="org", id="msg_1", app=app_id)),
            await scanned(connection, *ATTEMPT(org="org", id="atmpt_1", app=app_id)),
            await scanned(connection, *NAMED(org="org", name="77", app=app_id, applications=2000, hits=20)),
        ]
        for app_id in (None, "app_1")
    }
    await connection.close()

    assert read == {None: [set()] * 4, "app_1": [set()] * 4}
