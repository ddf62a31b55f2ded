"""What the pages show and do, and that whatever customers and receivers write stays text."""

import re
from dataclasses import replace

import orjson
import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response

from service.adapters.postgres.server.database import Database
from service.api.services import Services
from service.console import shown
from tests.console.conftest import Browser, made
from tests.support.factories import ORG
from tests.support.operations import settled

MARKUP = """<script>alert(1)</script><img src=x onerror=alert(1)>"'&{{ 7*7 }}"""
BIDI = "invoice\u202egnp.exe"


@pytest.fixture
async def application(api: AsyncClient) -> str:
    """An application's id."""
    return await made(api, "/app", name="an application", uid="u")


@pytest.mark.parametrize("path", ["/sign-in", "/overview", "/apps", "/apps/new", "/nowhere", "/app/unknown"])
async def test_every_page_forbids_what_is_not_its_own(browser: Browser, path: str) -> None:
    answer = await browser.get(path)

    assert answer.headers["content-security-policy"] == (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", answer.text)


async def test_errors_of_the_console_are_pages_and_those_of_the_api_stay_json(
    browser: Browser, api: AsyncClient
) -> None:
    page = await browser.get("/app/unknown")
    problem = await api.get("/app/unknown")

    assert (page.status_code, problem.status_code) == (404, 404)
    assert "Application not found" in page.text
    assert problem.json()["code"] == "not_found"


async def test_an_application_is_created_changed_and_deleted_by_its_typed_name(
    browser: Browser, api: AsyncClient
) -> None:
    created = await browser.send("/apps/new", name="Acme", uid="acme", throttleRate="5")
    path = created.headers["location"].removeprefix("/console").partition("?")[0]
    changed = await browser.send(f"{path}/edit", name="Acme Inc.", uid="", throttleRate="")
    kept = (await api.get(path)).json()
    wrong = await browser.send(f"{path}/delete", name="Acme")
    right = await browser.send(f"{path}/delete", name="Acme Inc.")

    assert [created.status_code, changed.status_code, wrong.status_code, right.status_code] == [303, 303, 422, 303]
    assert (kept["name"], kept.get("uid"), kept["throttleRate"]) == ("Acme Inc.", None, None)
    assert "not the application" in wrong.text
    assert (await api.get(path)).status_code == 404


async def test_a_form_that_is_sent_twice_makes_one_application_and_one_line_of_the_trail(
    browser: Browser, api: AsyncClient
) -> None:
    (value,) = re.findall(r'name="once" value="(\w+)"', (await browser.get("/apps/new")).text)

    twice = [await browser.send("/apps/new", name="Acme", once=value) for _ in range(2)]

    assert twice[0].headers["location"] == twice[1].headers["location"]
    (made_id,) = [one["id"] for one in (await api.get("/app")).json()["data"]]
    trail = (await api.get("/audit")).json()["data"]
    assert [(one["action"], one["target"]) for one in trail if one["action"].startswith("application.")] == [
        ("application.created", made_id)
    ]


NAVIGATION = [
    ("/overview", "Overview"),
    ("/apps/new", "Applications"),
    ("/app/u/messages", "Applications"),
    ("/event-types/new", "Event types"),
    ("/event-type/a.b", "Event types"),
    ("/tasks", "Tasks"),
    ("/search?q=nothing", None),
]


@pytest.mark.parametrize(("path", "name"), NAVIGATION)
@pytest.mark.usefixtures("application")
async def test_the_navigation_marks_what_a_page_belongs_to(
    browser: Browser, api: AsyncClient, path: str, name: str | None
) -> None:
    await api.post("/event-type", json={"name": "a.b", "description": ""})

    page = await browser.get(path)

    assert marked(page) == ([] if name is None else [name])


def marked(page: Response) -> list[str]:
    """The entries of the navigation that the page is marked to belong to."""
    return re.findall(r'aria-current="page">([^<]+)</a>', page.text)


async def test_a_form_that_is_refused_comes_back_as_it_was_filled_in(browser: Browser, application: str) -> None:
    taken = await browser.send("/apps/new", name="Another", uid="u")
    wrong = await browser.send("/apps/new", name="", uid="with blanks", throttleRate="many")

    assert (taken.status_code, wrong.status_code) == (409, 422)
    assert 'value="Another"' in taken.text
    assert 'value="with blanks"' in wrong.text
    assert "aria-invalid" in wrong.text


async def test_what_is_written_by_others_is_shown_as_text(browser: Browser, api: AsyncClient) -> None:
    app_id = await made(api, "/app", name=MARKUP)
    msg_id = await made(api, f"/app/{app_id}/msg", eventType="a.b", payload={"said": MARKUP, "file": BIDI})

    pages = [await browser.get(path) for path in (f"/app/{app_id}", f"/app/{app_id}/messages", "/apps")]
    message = await browser.get(f"/app/{app_id}/msg/{msg_id}")

    for page in (*pages, message):
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
    assert BIDI not in message.text
    assert "[U+202E RIGHT-TO-LEFT OVERRIDE]" in message.text


async def test_a_payload_of_two_mebibytes_in_one_line_is_shown_in_part(browser: Browser, api: AsyncClient) -> None:
    app_id = await made(api, "/app", name="n")
    msg_id = await made(api, f"/app/{app_id}/msg", eventType="a.b", payload={"long": "x" * (2 * 1024 * 1024 - 200)})

    page = await browser.get(f"/app/{app_id}/msg/{msg_id}")

    assert page.status_code == 200
    assert len(page.text) < 1_000_000


async def test_messages_are_listed_by_filters_and_page_by_page(browser: Browser, api: AsyncClient) -> None:
    app_id = await made(api, "/app", name="n")
    sent = [
        await made(api, f"/app/{app_id}/msg", eventType=f"of.{n % 2}", payload={}, channels=[f"c{n}"]) for n in range(5)
    ]

    first = await browser.get(f"/app/{app_id}/messages?limit=2")
    onwards = re.findall(r'rel="next" href="([^"]+)"', first.text)[0].replace("&amp;", "&")
    second = await browser.get(onwards.removeprefix("/console"))
    back = re.findall(r'rel="prev" href="([^"]+)"', second.text)[0].replace("&amp;", "&")
    typed = await browser.get(f"/app/{app_id}/messages?event_types=of.1")
    channel = await browser.get(f"/app/{app_id}/messages?channel=c3")

    assert listed(first.text, sent) == [sent[4], sent[3]]
    assert listed(second.text, sent) == [sent[2], sent[1]]
    assert listed((await browser.get(back.removeprefix("/console"))).text, sent) == [sent[4], sent[3]]
    assert listed(typed.text, sent) == [sent[3], sent[1]]
    assert listed(channel.text, sent) == [sent[3]]


async def test_messages_are_listed_by_how_a_delivery_stands(
    browser: Browser, api: AsyncClient, postgres: Database
) -> None:
    app_id = await made(api, "/app", name="n")
    await made(api, f"/app/{app_id}/endpoint", url="https://receiver.example/")
    failing = await made(api, f"/app/{app_id}/msg", eventType="a.b", payload={})
    await settled(postgres, status=2, code=500)
    owed = await made(api, f"/app/{app_id}/msg", eventType="a.b", payload={})

    failed = await browser.get(f"/app/{app_id}/messages?status=2")
    exported = await browser.get(f"/app/{app_id}/messages/export?status=2")
    by_api = await api.get(f"/app/{app_id}/msg?status=2")
    waiting = await api.get(f"/app/{app_id}/msg?status=1")

    assert listed(failed.text, [failing, owed]) == [failing]
    assert '<option value="2" selected>failed</option>' in failed.text
    assert [one["id"] for one in by_api.json()["data"]] == [failing]
    assert [orjson.loads(line)["id"] for line in exported.text.splitlines()] == [failing]
    assert waiting.status_code == 400


async def test_an_id_among_the_filters_leads_to_its_message(browser: Browser, api: AsyncClient) -> None:
    app_id = await made(api, "/app", name="n")
    msg_id = await made(api, f"/app/{app_id}/msg", eventType="a.b", payload={}, eventId="e-1")

    by_id, by_event = [await browser.get(f"/app/{app_id}/messages?id={one}") for one in (msg_id, "+e-1")]
    unknown = await browser.get(f"/app/{app_id}/messages?id=%00")

    assert {answer.headers["location"] for answer in (by_id, by_event)} == {f"/console/app/{app_id}/msg/{msg_id}"}
    assert unknown.status_code == 404


def listed(page: str, ids: list[str]) -> list[str]:
    """The ids of these that the page shows, in its order."""
    found = re.findall(r"<code>(msg_\w+)</code>", page)
    return [one for one in found if one in ids]


async def test_an_empty_list_says_what_to_do_next(browser: Browser, application: str) -> None:
    page = await browser.get(f"/app/{application}/messages")

    assert "Send one by the API" in page.text


async def test_a_message_is_resent_and_expunged(browser: Browser, api: AsyncClient, postgres: Database) -> None:
    app_id = await made(api, "/app", name="n")
    endpoint = await made(api, f"/app/{app_id}/endpoint", url="https://receiver.example/")
    msg_id = await made(api, f"/app/{app_id}/msg", eventType="a.b", payload={"kept": "for now"})
    path = f"/app/{app_id}/msg/{msg_id}"
    await browser.get(path)

    resent = await browser.send(f"{path}/endpoint/{endpoint}/resend")
    owed = await postgres.pool.fetchval("SELECT count(*) FROM pending_delivery WHERE resend <> ''")
    expunged = await browser.send(f"{path}/expunge")
    after = await browser.get(path)

    assert (resent.status_code, owed, expunged.status_code) == (303, 1, 303)
    assert "for now" not in after.text
    assert "The payload was removed" in after.text
    audited = [event["action"] for event in (await api.get("/audit")).json()["data"]]
    assert "message.expunged" in audited


async def test_lists_show_how_endpoints_stand_and_what_the_last_day_was_like(
    browser: Browser, api: AsyncClient, postgres: Database
) -> None:
    busy, _ = [await made(api, "/app", name=name) for name in ("busy", "idle")]
    url = "https://receiver.example/"
    enabled, _ = [await made(api, f"/app/{busy}/endpoint", url=url, disabled=off) for off in (False, True)]
    await postgres.pool.execute("UPDATE endpoint SET first_failure_at = now() WHERE id = $1", enabled)
    await postgres.pool.execute(
        "INSERT INTO endpoint_hour (endpoint_id, hour, part, org_id, app_id, success, fail, canceled, milliseconds)"
        " VALUES ($1, date_trunc('hour', now(), 'UTC'), 3, $2, $3, 3, 1, 0, 800)",
        enabled,
        ORG,
        busy,
    )
    await postgres.pool.execute(
        "INSERT INTO activity_hour (owner, hour, part, org_id, accepted, success, fail, exhausted, canceled)"
        " VALUES ($1, date_trunc('hour', now(), 'UTC'), 3, $2, 7, 3, 1, 0, 0)",
        busy,
        ORG,
    )

    rows = {name: row_of((await browser.get("/apps")).text, name) for name in ("busy", "idle")}
    page = (await browser.get(f"/app/{busy}")).text

    assert re.search(r"<td>2, .*1 failing.*1 disabled", rows["busy"])
    assert "75 %" in rows["busy"]
    assert re.search(r"<td>0</td>", rows["idle"])
    assert "<dt>Messages accepted</dt><dd>7</dd>" in page
    assert re.search(r"75 %</td>\s*<td class=\"figure\">200 ms</td>", page)


def row_of(page: str, name: str) -> str:
    """The row of the table that names this."""
    return next(row for row in page.split("<tr>") if f">{name}<" in row)


async def test_what_the_filters_leave_is_exported_as_the_api_exports_it(browser: Browser, api: AsyncClient) -> None:
    app_id = await made(api, "/app", name="n")
    for kind in ("of.one", "of.two"):
        await made(api, f"/app/{app_id}/msg", eventType=kind, payload={"kind": kind})

    page = await browser.get(f"/app/{app_id}/messages?event_types=of.two&limit=1")
    link = re.findall(r'href="/console([^"]+/export[^"]*)"', page.text)[0].replace("&amp;", "&")
    exported = await browser.get(link)
    wanted = await api.get(f"/app/{app_id}/msg/export?event_types=of.two")

    assert exported.headers["content-disposition"] == f'attachment; filename="{app_id}.jsonl"'
    assert exported.content == wanted.content
    assert b"of.two" in exported.content
    assert b"of.one" not in exported.content


async def test_a_bar_of_the_timeline_leads_to_its_trace(
    services: Services, browser: Browser, api: AsyncClient, app: FastAPI, postgres: Database
) -> None:
    app_id = await made(api, "/app", name="n")
    await made(api, f"/app/{app_id}/endpoint", url="https://receiver.example/")
    msg_id = await made(api, f"/app/{app_id}/msg", eventType="a.b", payload={})
    await settled(postgres, status=2, code=503)
    await postgres.pool.execute("UPDATE attempt SET trace_id = repeat('a', 32)")
    app.state.services = replace(services, trace_url="https://traces.example.com/{trace_id}")

    page = await browser.get(f"/app/{app_id}/msg/{msg_id}")

    assert page.text.count(f'href="https://traces.example.com/{"a" * 32}"') == 2


async def test_the_overview_says_how_long_the_oldest_due_delivery_has_waited(
    browser: Browser, postgres: Database
) -> None:
    before = await browser.get("/overview")
    await postgres.pool.execute(
        "INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at, attempts)"
        " VALUES ('e', 'm', $1, 'a', now() - interval '5 minutes', 0)",
        ORG,
    )
    after = await browser.get("/overview")

    assert "No delivery is due and waits." in before.text
    assert "has waited for 5.0 min" in after.text


def test_what_is_deep_is_shown_with_bounded_indents() -> None:
    document = b"[" * 900 + b"1" + b",1" * 90_000 + b"]" * 900

    assert len(shown.pretty(document)) < 25 * len(document)
