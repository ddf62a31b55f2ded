"""The audit trail on a page and as a file."""

import csv
import json
from datetime import timedelta
from io import StringIO

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.console.exports import as_csv, harmless
from service.domain import ids
from tests.console.conftest import Browser, browsing, token_of
from tests.support.factories import ORG

MARKUP = "<script>alert(1)</script>\u202e"


async def write(postgres: Database, *events: dict[str, str]) -> list[str]:
    """The ids of these events, each made a moment after the one before."""
    written = []
    for number, event in enumerate(events):
        at = ids.time_of(new_id(ids.AUDIT_EVENT)) - timedelta(hours=len(events) - number)
        row = {"id": new_id(ids.AUDIT_EVENT, at=at), "org_id": ORG, "action": "a.done", "actor": ORG, "role": "admin"}
        row |= {"correlation_id": "c", **event}
        names = ", ".join(row)
        places = ", ".join(f"${place + 1}" for place in range(len(row)))
        await postgres.pool.execute(f"INSERT INTO audit_event ({names}) VALUES ({places})", *row.values())
        written.append(str(row["id"]))
    return written


async def test_the_trail_says_who_did_what_to_what_and_in_which_request(browser: Browser, api: AsyncClient) -> None:
    created = await browser.send("/apps/new", name="Acme")
    event = (await api.get("/audit")).json()["data"][0]

    trail = await browser.get("/audit")

    assert created.status_code == 303
    for said in (event["action"], event["actor"], event["role"], event["correlationId"]):
        assert said in trail.text


async def test_the_trail_is_read_page_by_page_and_by_time(browser: Browser, postgres: Database) -> None:
    events = await write(postgres, *({"action": f"number.{number}"} for number in range(5)))

    first = await browser.get("/audit?limit=2")
    onwards = first.text.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = await browser.get(onwards.removeprefix("/console"))
    middle = ids.time_of(events[2]).strftime("%Y-%m-%dT%H:%M:%S")
    after, before = await browser.get(f"/audit?after={middle}&before="), await browser.get(f"/audit?before={middle}")

    assert shown(first.text) == ["number.4", "number.3"]
    assert shown(second.text) == ["number.2", "number.1"]
    assert shown(after.text) == ["number.4", "number.3", "number.2"]
    assert shown(before.text) == ["number.1", "number.0"]


def shown(page: str) -> list[str]:
    """The actions on the page, in its order."""
    return [f"number.{rest[0]}" for rest in page.split("<td>number.")[1:]]


async def test_an_export_has_every_event_of_the_time(browser: Browser, api: AsyncClient, postgres: Database) -> None:
    await write(postgres, *({"action": f"number.{number}"} for number in range(3)))
    listed = (await api.get("/audit")).json()["data"]

    as_lines = await browser.get("/audit/export?after=&before=&format=jsonl")
    as_table = await browser.get("/audit/export?format=csv")
    rows = list(csv.DictReader(StringIO(as_table.text)))

    assert [json.loads(line) for line in as_lines.text.splitlines()] == listed
    assert [(row["id"], row["action"], row["time"]) for row in rows] == [
        (event["id"], event["action"], event["timestamp"]) for event in listed
    ]
    assert as_table.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    assert as_lines.headers["cache-control"] == "no-store"


async def test_the_trail_is_narrowed_by_action_and_application_and_so_is_its_export(
    browser: Browser, api: AsyncClient
) -> None:
    first, second = [(await api.post("/app", json={"name": n, "uid": n})).json()["id"] for n in ("one", "two")]
    for app_id in (first, second):
        for name in ("a", "b"):
            (await api.patch(f"/app/{app_id}", json={"name": name})).raise_for_status()
    (await api.delete(f"/app/{second}")).raise_for_status()

    async def exported(query: str) -> list[tuple[str, str]]:
        answer = await browser.get(f"/audit/export?format=jsonl&{query}")
        return [(event["action"], event["appId"]) for event in map(json.loads, answer.text.splitlines())]

    page = await browser.get("/audit?after=&before=&action=application.changed&application=one")

    assert page.text.count("<td>application.changed</td>") == 2
    assert "<option selected>application.changed</option>" in page.text
    assert second not in page.text
    assert await exported("application=one") == [
        ("application.changed", first),
        ("application.changed", first),
        ("application.created", first),
    ]
    assert await exported("action=application.changed&application=one") == [("application.changed", first)] * 2
    assert await exported(f"application={second}&action=application.deleted") == [("application.deleted", second)]
    assert await exported("action=application.deleted&application=") == [("application.deleted", second)]
    for nothing in ("action=%00", "application=two", "application=%00%22<b>", "action=a%20b"):
        assert await exported(nothing) == []
        assert "Nothing like this was done" in (await browser.get(f"/audit?{nothing}")).text


async def test_an_export_is_bounded_and_reads_more_than_one_page(browser: Browser, postgres: Database) -> None:
    await postgres.pool.execute(
        "INSERT INTO audit_event (id, org_id, action, actor, role, correlation_id)"
        " SELECT 'audit_0' || lpad(n::text, 26, '0'), $1, 'a', '', '', '' FROM generate_series(1, 12000) n",
        ORG,
    )

    exported = await browser.get("/audit/export?format=csv")

    assert len(exported.text.splitlines()) == 10_001


async def test_what_is_written_by_others_stays_text_and_computes_nothing(browser: Browser, postgres: Database) -> None:
    await write(
        postgres, {"target": MARKUP, "correlation_id": "=1+1"}, {"target": "@SUM(A1)", "correlation_id": MARKUP}
    )

    trail, exported = await browser.get("/audit"), await browser.get("/audit/export?format=csv")

    assert "<script>alert" not in trail.text
    assert "\u202e" not in trail.text
    assert ",'=1+1," in exported.text
    assert ",'@SUM(A1)," in exported.text


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1"])
def test_a_cell_that_a_spreadsheet_would_compute_is_text(cell: str) -> None:
    rows = list(csv.reader(StringIO(as_csv(["name"], [[cell], ["a=1"], [None]]).decode(), newline="")))

    assert rows == [["name"], [f"'{cell}"], ["a=1"], [""]]
    assert harmless("a=1") == "a=1"


@pytest.mark.parametrize("role", ["reader", "writer"])
async def test_the_trail_is_an_admins(stranger: Browser, role: str) -> None:
    await stranger.sign_in(token_of(role))

    pages = [await stranger.get(path) for path in ("/audit", "/audit/export?format=csv")]

    assert [page.status_code for page in pages] == [403, 403]
    assert "Audit trail" not in (await stranger.get("/overview")).text


async def test_an_unknown_form_of_export_is_an_error_of_the_address(browser: Browser) -> None:
    assert (await browser.get("/audit/export?format=exe")).status_code == 400


async def test_a_customer_sees_no_trail(app: FastAPI, api: AsyncClient) -> None:
    answer = await api.post("/app", json={"name": "n"})
    access = await api.post(f"/auth/app-portal-access/{answer.json()['id']}", json={})

    async with browsing(app) as customer:
        await customer.sign_in(access.json()["token"])
        page = await customer.get("/audit")

    assert page.status_code == 403
