"""Replays in the console: each says first what it would send, and then leads to the progress of its task."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.application.replays import PREVIEWED_MESSAGES
from service.domain.deliveries import Status
from tests.console.conftest import Browser
from tests.support.operations import a_message, an_endpoint, finished, owed, running_tasks, settled

APP = "/app/u"
HOUR = timedelta(hours=1)


@pytest.fixture
async def endpoint(api: AsyncClient) -> str:
    """The id of an endpoint of an application whose uid is `u`."""
    await api.post("/app", json={"name": "an application", "uid": "u"})
    return await an_endpoint(api)


def typed(at: datetime) -> str:
    """A time as a form's field has it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


def said(page: str) -> str:
    """What the preview says."""
    (heading,) = re.findall(r'role="status">\s*<h2>(.*?)</h2>', page, re.DOTALL)
    return " ".join(heading.split())


def hidden(page: str) -> dict[str, str]:
    """The fields of the form that begins what was counted, but for the proof of its page."""
    form = page.partition('role="status"')[2]
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in found if name != "csrf"}


async def begun(browser: Browser, path: str, **fields: str) -> str:
    """The id of the task that the form began."""
    answer = await browser.send(path, **fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("/console/tasks/").partition("?")[0]


async def test_a_recovery_is_counted_first_and_then_begun_and_its_page_tells_its_end(
    browser: Browser, api: AsyncClient, postgres: Database, endpoint: str
) -> None:
    failed = [await a_message(api) for _ in range(3)]
    await settled(postgres, status=Status.FAIL, code=500)
    await a_message(api)
    await settled(postgres, status=Status.SUCCESS)
    path = f"{APP}/endpoint/{endpoint}/recover"

    empty = await browser.get(path)
    preview = await browser.get(f"{path}?since={typed(datetime.now(UTC) - HOUR)}")
    unsent = await owed(postgres)
    task = await begun(browser, path, **hidden(preview.text))
    async with running_tasks(postgres):
        await finished(api, task)
    page = await browser.get(f"/tasks/{task}?done=started")

    assert 'role="status"' not in empty.text
    assert said(preview.text) == "3 messages would be sent"
    assert unsent == []
    assert [message for message, _ in await owed(postgres)] == failed
    assert "3 messages were queued for the endpoint." in page.text
    assert "100 %" in page.text
    audited = [event["action"] for event in (await api.get("/audit")).json()["data"]]
    assert "endpoint.recovered" in audited


async def test_what_was_missed_is_counted_and_sent(
    browser: Browser, api: AsyncClient, postgres: Database, endpoint: str
) -> None:
    await a_message(api)
    await settled(postgres, status=Status.SUCCESS)
    await api.patch(f"{APP}/endpoint/{endpoint}", json={"disabled": True})
    missed = await a_message(api)
    await api.patch(f"{APP}/endpoint/{endpoint}", json={"disabled": False})
    path = f"{APP}/endpoint/{endpoint}/replay-missing"

    preview = await browser.get(f"{path}?since={typed(datetime.now(UTC) - HOUR)}")
    task = await begun(browser, path, **hidden(preview.text))
    async with running_tasks(postgres):
        await finished(api, task)

    assert said(preview.text) == "1 message would be sent"
    assert [message for message, _ in await owed(postgres)] == [missed]


async def test_a_replay_by_filters_sends_what_it_counted(
    browser: Browser, api: AsyncClient, postgres: Database, endpoint: str
) -> None:
    wanted = await a_message(api, eventType="of.one", channels=["c"], tags=["t"])
    await a_message(api, eventType="of.two", channels=["c"], tags=["t"])
    await settled(postgres, status=Status.SUCCESS)
    await a_message(api, eventType="of.one", channels=["c"], tags=["t"])
    await settled(postgres, status=Status.FAIL, code=500)
    path = f"{APP}/endpoint/{endpoint}/bulk-replay"
    since = typed(datetime.now(UTC) - HOUR)

    every = await browser.get(f"{path}?since={since}&until=&eventTypes=&channel=&tag=&status=&statusCodeClass=")
    filters = "eventTypes=of.one&channel=c&tag=t&status=0&statusCodeClass=200"
    preview = await browser.get(f"{path}?since={since}&{filters}")
    task = await begun(browser, path, **hidden(preview.text))
    async with running_tasks(postgres):
        await finished(api, task)

    assert said(every.text) == "3 messages would be sent"
    assert said(preview.text) == "1 message would be sent"
    assert [message for message, _ in await owed(postgres)] == [wanted]


@pytest.mark.parametrize("way", ["recover", "replay-missing", "bulk-replay"])
async def test_where_nothing_would_be_sent_there_is_no_button(browser: Browser, endpoint: str, way: str) -> None:
    preview = await browser.get(f"{APP}/endpoint/{endpoint}/{way}?since={typed(datetime.now(UTC) - HOUR)}")

    assert said(preview.text) == "Nothing would be sent"
    assert 'method="post"' not in preview.text.partition('role="status"')[2]


@pytest.mark.parametrize("way", ["recover", "replay-missing", "bulk-replay"])
async def test_a_replay_that_is_refused_comes_back_with_the_reason(
    browser: Browser, api: AsyncClient, endpoint: str, way: str
) -> None:
    path, now = f"{APP}/endpoint/{endpoint}/{way}", datetime.now(UTC)
    await browser.get(path)
    spans = {"since": typed(now), "until": typed(now - HOUR)}

    nonsense = await browser.get(f"{path}?since=whenever")
    backwards = await browser.send(path, **spans)
    await api.patch(f"{APP}/endpoint/{endpoint}", json={"disabled": True})
    disabled = [
        await browser.get(f"{path}?since={typed(now - HOUR)}"),
        await browser.send(path, since=typed(now - HOUR)),
    ]

    assert (nonsense.status_code, backwards.status_code) == (422, 422)
    assert "a time by RFC 3339" in nonsense.text
    assert "must be before" in backwards.text
    assert f'value="{spans["until"]}"' in backwards.text
    assert [one.status_code for one in disabled] == [400, 400]
    assert all("Enable it before sending" in one.text for one in disabled)
    assert (await api.get("/background-task")).json()["data"] == []


async def test_a_recovery_of_more_than_two_weeks_is_refused_before_it_is_counted(
    browser: Browser, endpoint: str
) -> None:
    since = typed(datetime.now(UTC) - timedelta(days=15))

    page = await browser.get(f"{APP}/endpoint/{endpoint}/recover?since={since}")

    assert page.status_code == 422
    assert "at most 14 days" in page.text


async def test_a_preview_of_very_many_messages_says_that_there_may_be_more(
    browser: Browser, api: AsyncClient, postgres: Database, endpoint: str
) -> None:
    message = await a_message(api)
    await settled(postgres, status=Status.SUCCESS)
    copies = PREVIEWED_MESSAGES + 10
    for table in ("message", "settled_delivery"):
        key = "id" if table == "message" else "message_id"
        await postgres.pool.execute(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object("
            f"'{key}', left(t.{key}, -6) || lpad(n::text, 6, '0')))).* FROM {table} t, generate_series(1, $1::int) n"
            f" WHERE t.{key} = $2",
            copies,
            message,
        )

    preview = await browser.get(f"{APP}/endpoint/{endpoint}/bulk-replay?since={typed(datetime.now(UTC) - HOUR)}")

    assert said(preview.text) == f"At least {PREVIEWED_MESSAGES:,} messages would be sent"
    assert "Only the first messages of this time span were counted" in preview.text


async def test_a_form_that_is_sent_twice_begins_one_task(
    browser: Browser, api: AsyncClient, postgres: Database, endpoint: str
) -> None:
    await a_message(api)
    await settled(postgres, status=Status.SUCCESS)
    path = f"{APP}/endpoint/{endpoint}/bulk-replay"
    since = typed(datetime.now(UTC) - HOUR)
    previews = [await browser.get(f"{path}?since={since}") for _ in range(2)]

    twice = [await begun(browser, path, **hidden(previews[0].text)) for _ in range(2)]
    changed = await begun(browser, path, **hidden(previews[0].text) | {"channel": "c"})
    later = await begun(browser, path, **hidden(previews[1].text))

    assert twice[0] == twice[1]
    assert len({twice[0], changed, later}) == 3
    assert len((await api.get("/background-task")).json()["data"]) == 3
    audited = [event["action"] for event in (await api.get("/audit")).json()["data"]]
    assert audited.count("endpoint.replayed") == 3
