"""Background tasks and imports in the console: in words, with their numbers, and each customer's own only."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.console.task_reports import MAX_ROWS, report
from service.domain import ids
from service.domain.background_tasks import BackgroundTask, TaskKind, TaskStatus
from service.domain.ids import ApplicationId, TaskId
from tests.api.conftest import TOKENS
from tests.console.conftest import Browser, browsing, token_of
from tests.support.factories import ORG
from tests.support.message_files import line, lines
from tests.support.operations import SINCE, an_endpoint, finished, running_tasks

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARKUP = "<script>alert(1)</script>"


def a_task(**changed: Any) -> BackgroundTask:
    values: dict[str, Any] = {
        "id": TaskId("qtask_1"),
        "org_id": ORG,
        "app_id": None,
        "kind": TaskKind.RECOVER,
        "params": {
            "since": ids.lowest(ids.MESSAGE, NOW - timedelta(hours=4)),
            "until": ids.highest(ids.MESSAGE, NOW),
        },
        "data": {"messagesSent": 0},
        "created_at": NOW,
        "updated_at": NOW,
    }
    return BackgroundTask(**(values | changed))


REPORTS: dict[str, tuple[BackgroundTask, float | None, str]] = {
    "not begun": (a_task(), 0.0, "0 messages were queued for the endpoint."),
    "a quarter": (
        a_task(cursor=ids.highest(ids.MESSAGE, NOW - timedelta(hours=3)), data={"messagesSent": 1}),
        0.25,
        "1 message was queued for the endpoint.",
    ),
    "finished": (
        a_task(kind=TaskKind.REPLAY, status=TaskStatus.FINISHED, data={"messagesSent": 12_345}),
        1.0,
        "12,345 messages were queued for the endpoint.",
    ),
    "failed": (
        a_task(
            kind=TaskKind.BULK_REPLAY,
            status=TaskStatus.FAILED,
            data={"messagesSent": 2, "error": {"code": "endpoint_disabled", "detail": "It is disabled."}},
        ),
        0.0,
        "It failed: It is disabled. What it had done before stays done: 2 messages were queued for the endpoint.",
    ),
    "payloads": (
        a_task(kind=TaskKind.PURGE_CONTENT, data={"messagesPurged": 1}),
        0.0,
        "1 payload removed.",
    ),
    "usage": (
        a_task(kind=TaskKind.APPLICATION_STATS, params={"since": "2026-01-01T00:00:00Z"}, data={"appStats": []}),
        None,
        "0 applications, attempts counted.",
    ),
    "wishes": (
        a_task(kind=TaskKind.EVENT_TYPE_AGGREGATE, params={}, data={"event_types": []}),
        None,
        "0 applications, event types collected.",
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_task_is_told_in_words(name: str) -> None:
    task, share, sentence = REPORTS[name]

    told = report(task)

    assert told.sentence == sentence
    assert told.share == (None if share is None else pytest.approx(share, abs=0.001))


def test_every_kind_of_task_has_its_words() -> None:
    assert {task.kind for task, _, _ in REPORTS.values()} == set(TaskKind)


def test_a_very_long_result_is_shown_in_part() -> None:
    usage = [{"appId": f"app_{n}", "appUid": None, "messageDestinations": n} for n in range(MAX_ROWS + 5)]

    told = report(a_task(kind=TaskKind.APPLICATION_STATS, params={}, data={"appStats": usage}))

    assert (len(told.rows), told.left_out) == (MAX_ROWS, 5)
    assert told.sentence == f"{MAX_ROWS + 5} applications, attempts counted."


@pytest.fixture
async def application(api: AsyncClient) -> str:
    """The id of an application whose uid is `u`."""
    answer = await api.post("/app", json={"name": "an application", "uid": "u"})
    return str(answer.json()["id"])


async def a_recovery(api: AsyncClient, endpoint: str) -> str:
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    answer = await api.post(f"/app/u/endpoint/{endpoint}/recover", json={"since": since})
    return str(answer.json()["id"])


async def test_tasks_are_listed_with_links_to_what_they_are_about(
    browser: Browser, api: AsyncClient, postgres: Database, application: str
) -> None:
    endpoint = await an_endpoint(api)
    recovery = await a_recovery(api, endpoint)
    counting = (await api.put("/stats/usage/event-types")).json()["id"]
    running = await browser.get(f"/tasks/{recovery}")
    async with running_tasks(postgres):
        await finished(api, recovery)
        await finished(api, counting)

    every, own = await browser.get("/tasks"), await browser.get("/app/u/tasks")
    page, counted = await browser.get(f"/tasks/{recovery}"), await browser.get(f"/tasks/{counting}")

    assert re.search(r">running</span>", running.text)
    assert f'href="/console/tasks/{recovery}">Look again' in running.text
    assert [one in every.text for one in (recovery, counting)] == [True, True]
    assert [one in own.text for one in (recovery, counting)] == [True, False]
    assert re.search(r">finished</span>", page.text)
    assert "0 messages were queued for the endpoint." in page.text
    assert f"/console/app/{application}/endpoint/{endpoint}" in page.text
    assert re.search(rf'href="/console/app/{application}">[^<]+</a></td><td>all</td>', counted.text)


async def test_a_task_that_failed_says_why(
    browser: Browser, api: AsyncClient, postgres: Database, application: str
) -> None:
    endpoint = await an_endpoint(api)
    task = await a_recovery(api, endpoint)
    await api.patch(f"/app/u/endpoint/{endpoint}", json={"disabled": True})
    async with running_tasks(postgres):
        await finished(api, task)

    page = await browser.get(f"/tasks/{task}")

    assert re.search(r">failed</span>", page.text)
    assert "It failed: The endpoint is disabled." in page.text


async def test_the_usage_of_applications_is_a_table(
    browser: Browser, api: AsyncClient, postgres: Database, application: str
) -> None:
    endpoint = await an_endpoint(api)
    await postgres.pool.execute(
        "INSERT INTO endpoint_hour (endpoint_id, hour, part, org_id, app_id, success, fail, canceled)"
        " VALUES ($1, date_trunc('hour', now(), 'UTC'), 0, $2, $3, 1234, 0, 0)",
        endpoint,
        ORG,
        application,
    )
    asked = {"since": SINCE, "until": datetime.now(UTC).isoformat()}
    task = (await api.post("/stats/usage/app", json=asked)).json()["id"]
    async with running_tasks(postgres):
        await finished(api, task)

    page = await browser.get(f"/tasks/{task}")

    assert re.search(rf'href="/console/app/{application}">u</a></td><td>1,234</td>', page.text)


@pytest.mark.parametrize("path", ["/tasks", "/app/u/tasks", "/app/u/imports"])
@pytest.mark.usefixtures("application")
async def test_an_empty_list_says_what_there_would_be(browser: Browser, path: str) -> None:
    page = await browser.get(path)

    assert page.status_code == 200
    assert 'class="empty"' in page.text


async def test_a_customer_sees_the_tasks_of_the_one_application(
    app: FastAPI, api: AsyncClient, application: str
) -> None:
    own = await a_recovery(api, await an_endpoint(api))
    foreign = (await api.put("/stats/usage/event-types")).json()["id"]
    other = (await api.post("/app", json={"name": "other"})).json()["id"]
    token = TOKENS.mint_for_application(ApplicationId(application), ORG, now=datetime.now(UTC))

    async with browsing(app) as customer:
        await customer.sign_in(token)
        listed = await customer.get("/tasks")
        found = [(await customer.get(f"/tasks/{task}")).status_code for task in (own, foreign)]
        others = await customer.get(f"/app/{other}/tasks")

    assert 'href="/console/tasks"' in listed.text
    assert [task in listed.text for task in (own, foreign)] == [True, False]
    assert (found, others.status_code) == ([200, 404], 404)


async def test_an_import_has_its_counts_and_its_refused_lines_page_by_page(
    browser: Browser, api: AsyncClient, application: str
) -> None:
    file = lines(30, broken=range(1, 11))
    made = (await api.post("/app/u/msg/import", params={"file_id": "january"}, content=file)).json()
    faults = (await api.get(f"/app/u/msg/import/{made['id']}/fault")).json()["data"]

    listed = await browser.get("/app/u/imports")
    first = await browser.get(f"/app/u/imports/{made['id']}?limit=6")
    (onwards,) = re.findall(r'rel="next" href="/console([^"]+)">Later lines', first.text)
    second = await browser.get(onwards.replace("&amp;", "&"))
    by_file = await browser.get("/app/u/imports/january")

    numbers = [re.findall(r'<tr><td class="figure">(\d+)</td>', page.text) for page in (first, second)]
    assert f'href="/console/app/{application}/imports/{made["id"]}">january</a>' in listed.text
    assert re.findall(r'<td class="figure">(\d+)</td>', listed.text) == ["30", "20", "0", "10"]
    assert numbers == [["1", "2", "3", "4", "5", "6"], ["7", "8", "9", "10"]]
    assert "<dt>Accepted</dt><dd>20</dd>" in first.text
    assert re.search(r">finished</span>", first.text)
    assert len(faults) == 10
    assert "Later lines" not in second.text
    assert by_file.status_code == 200


async def test_what_a_refused_line_says_is_shown_as_text(browser: Browser, api: AsyncClient, application: str) -> None:
    broken = json.dumps({"eventType": "a.b", "payload": {}, "channels": [MARKUP], MARKUP: 1}).encode()
    made = (await api.post("/app/u/msg/import", content=broken + b"\n" + line(2))).json()

    page = await browser.get(f"/app/u/imports/{made['id']}")

    assert made["refused"] == 1
    assert "<script>alert" not in page.text


async def test_imports_are_the_organisations_own(app: FastAPI, api: AsyncClient, application: str) -> None:
    made = (await api.post("/app/u/msg/import", content=line(1) + b"\n")).json()
    token = TOKENS.mint_for_application(ApplicationId(application), ORG, now=datetime.now(UTC))

    async with browsing(app) as customer:
        await customer.sign_in(token)
        shown = await customer.get(f"/app/{application}")
        statuses = [
            (await customer.get(f"/app/{application}/imports{rest}")).status_code for rest in ("", f"/{made['id']}")
        ]

    assert "/imports" not in shown.text
    assert statuses == [403, 403]


async def test_a_reader_sees_tasks_and_imports(stranger: Browser, api: AsyncClient, application: str) -> None:
    made = (await api.post("/app/u/msg/import", content=line(1) + b"\n")).json()
    await stranger.sign_in(token_of("reader"))

    paths = ("/tasks", "/app/u/tasks", "/app/u/imports", f"/app/u/imports/{made['id']}")

    assert [(await stranger.get(path)).status_code for path in paths] == [200] * 4


async def test_a_task_is_canceled_from_its_page_which_the_audit_trail_tells(browser: Browser, api: AsyncClient) -> None:
    app_id = (await api.post("/app", json={"name": "n", "uid": "u"})).json()["id"]
    task = (await api.post("/app/u/msg/expunge-all-contents")).json()["id"]
    running = await browser.get(f"/tasks/{task}")

    canceled = await browser.send(f"/tasks/{task}/cancel")
    page = await browser.get(canceled.headers["location"].removeprefix("/console"))
    again = await browser.send(f"/tasks/{task}/cancel")

    trail = (await api.get("/audit")).json()["data"]
    assert "Cancel it" in running.text
    assert "It was canceled. What it had done before stays done: 0 payloads removed." in page.text
    assert "It runs no more." in page.text
    assert "Cancel it" not in page.text
    assert (again.status_code, "runs no more, so it cannot be canceled" in again.text) == (409, True)
    assert [(one["target"], one["appId"]) for one in trail if one["action"] == "task.canceled"] == [(task, app_id)]
