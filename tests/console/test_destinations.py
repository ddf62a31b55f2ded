"""Ordered destinations in the console: what is done by a form is done as by the API, and no credential is shown."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from pydantic.alias_generators import to_camel

from service.console.sink_fields import TYPES
from service.domain.headers import MASK
from service.domain.ids import ApplicationId
from service.domain.sinks import SinkKind
from tests.api.conftest import TOKENS
from tests.console.conftest import Browser, browsing
from tests.support.factories import ORG
from tests.support.sinks import CONFIGS

APP = "/app/u"
LIST, NEW = f"{APP}/destinations", f"{APP}/destinations/new"
FIFO = {"type": "fifoEndpoint", "config": {"url": "http://127.0.0.1:9/"}}
CREDENTIAL = re.compile("value=.hidden|>hidden<|:hidden@|Bearer hidden")
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
async def application(api: AsyncClient) -> str:
    """The id of an application whose uid is `u`."""
    answer = await api.post("/app", json={"name": "an application", "uid": "u"})
    return str(answer.json()["id"])


async def made(api: AsyncClient, **body: Any) -> str:
    answer = await api.post(f"{APP}/destination", json=FIFO | {"uid": "d"} | body)
    return str(answer.raise_for_status().json()["id"])


async def kept(api: AsyncClient, ref: str = "d") -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"{APP}/destination/{ref}")).json()
    return found


def filled(kind: SinkKind) -> dict[str, str]:
    """The form's fields for a whole configuration."""
    fields = {}
    for name, value in CONFIGS[kind].items():
        match value:
            case bool():
                text = "yes" if value else ""
            case list():
                text = ", ".join(value)
            case dict():
                text = "\r\n".join(f"{header}: {written}" for header, written in value.items())
            case _:
                text = value
        if text:
            fields[to_camel(name)] = text
    return fields


def test_every_type_has_a_name() -> None:
    assert TYPES.keys() == set(SinkKind)


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("kind", SinkKind)
async def test_each_type_is_created_by_a_form_as_by_the_api(browser: Browser, api: AsyncClient, kind: SinkKind) -> None:
    await made(api, type=kind, config={to_camel(name): value for name, value in CONFIGS[kind].items()})
    offered = await browser.get(f"{NEW}?type={kind}")

    answer = await browser.send(
        NEW, type=kind, uid="mine", batchSize="7", maxWaitSecs="3", channels="a, b", **filled(kind)
    )

    mine = await kept(api, "mine")
    assert offered.status_code == 200
    assert answer.headers["location"].endswith(f"/destination/{mine['id']}?done=created")
    assert mine["config"] == (await kept(api))["config"]
    assert (mine["batchSize"], mine["maxWaitSecs"], mine["channels"]) == (7, 3, ["a", "b"])


@pytest.mark.usefixtures("application")
async def test_what_is_wrong_is_shown_at_its_field_and_what_was_typed_stays(browser: Browser) -> None:
    await browser.get(f"{NEW}?type=kafka")

    sizes = {"batchSize": "1", "maxWaitSecs": "0"}
    answer = await browser.send(NEW, type="kafka", bootstrapServers="nowhere", topic="events", **sizes)

    assert answer.status_code == 422
    assert 'value="nowhere"' in answer.text
    assert "A server is a host with its port" in answer.text


@pytest.mark.usefixtures("application")
async def test_no_page_shows_a_credential_and_keeping_a_form_as_it_is_changes_nothing(
    browser: Browser, api: AsyncClient
) -> None:
    for kind in SinkKind:
        config = {to_camel(name): value for name, value in CONFIGS[kind].items()}
        await made(api, type=kind, config=config, uid=kind.value)
        page = await browser.get(f"{APP}/destination/{kind.value}")
        form = await browser.get(f"{APP}/destination/{kind.value}/edit")
        before = await kept(api, kind.value)
        shown = {name: text for name, text in filled(kind).items() if "hidden" not in text}
        uri = {"uri": f"amqp://user:{MASK}@127.0.0.1:5672/%2F"} if kind is SinkKind.RABBITMQ else {}
        same = {"batchSize": str(before["batchSize"]), "maxWaitSecs": "0", "uid": kind.value}

        answer = await browser.send(f"{APP}/destination/{kind.value}/edit", **shown, **uri, **same)

        assert answer.status_code == 303, answer.text
        assert [each for each in (page, form) if CREDENTIAL.search(each.text)] == []
        assert {**await kept(api, kind.value), "updatedAt": ""} == {**before, "updatedAt": ""}


@pytest.mark.usefixtures("application")
async def test_a_destination_is_stopped_started_set_back_and_deleted(browser: Browser, api: AsyncClient) -> None:
    destination = await made(api)
    await api.post(f"{APP}/msg", json={"eventType": "t", "payload": {}})
    await api.patch(f"{APP}/destination/d", json={"startAt": datetime.now(UTC).isoformat()})
    path = f"{APP}/destination/{destination}"
    await browser.get(path)

    stood = []
    for status in ("paused", "disabled", "enabled"):
        await browser.send(f"{path}/status", status=status)
        stood.append((await kept(api))["status"])
    ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    waiting = [(await kept(api))["waiting"]]
    back = await browser.send(f"{path}/start", startAt=ago)
    waiting.append((await kept(api))["waiting"])
    unread = await browser.send(f"{path}/start", startAt="yesterday")
    mistyped = await browser.send(f"{path}/delete", type="kafka")
    deleted = await browser.send(f"{path}/delete", type="fifoEndpoint")

    assert stood == ["paused", "disabled", "enabled"]
    assert (back.status_code, waiting) == (303, [0, 1])
    assert (unread.status_code, mistyped.status_code, deleted.status_code) == (422, 422, 303)
    assert (await api.get(f"{APP}/destination/d")).status_code == 404


@pytest.mark.usefixtures("application")
async def test_the_secret_is_shown_when_that_is_asked_for_and_replaced(browser: Browser, api: AsyncClient) -> None:
    path = f"{APP}/destination/{await made(api)}/secret"
    secret = (await api.get(f"{APP}/destination/d/secret")).json()["key"]

    asked = await browser.get(path)
    shown = await browser.send(path)
    rotated = await browser.send(f"{path}/rotate")

    assert secret not in asked.text
    assert secret in shown.text
    assert rotated.status_code == 303
    assert (await api.get(f"{APP}/destination/d/secret")).json()["key"] != secret


@pytest.mark.usefixtures("application")
async def test_the_list_has_every_type_and_what_went_wrong_stays_text(
    browser: Browser, api: AsyncClient, postgres: Any
) -> None:
    await made(api)
    await made(api, type="nats", config={"servers": ["nats://127.0.0.1"], "subject": "s"}, uid="n")
    await postgres.pool.execute("UPDATE destination SET attempts = 1, failure_reason = $1", MARKUP)

    pages = [await browser.get(LIST), await browser.get(f"{APP}/destination/d")]

    assert "NATS JetStream" in pages[0].text
    assert all(MARKUP not in page.text and "&lt;script&gt;" in page.text for page in pages)
    assert all("retrying" in page.text for page in pages)


async def test_a_customer_is_offered_no_pause_and_cannot_end_one(
    app: FastAPI, api: AsyncClient, application: str
) -> None:
    destination = await made(api)
    path = f"{APP}/destination/{destination}"
    async with browsing(app) as customer:
        token = TOKENS.mint_for_application(ApplicationId(application), ORG, now=datetime.now(UTC))
        await customer.sign_in(token)
        offered = await customer.get(path)
        denied = [await customer.send(f"{path}/status", status="paused")]
        await api.patch(f"{APP}/destination/d", json={"status": "paused"})
        paused = await customer.get(path)
        denied.append(await customer.send(f"{path}/status", status="enabled"))

    assert ('value="disabled"' in offered.text, 'value="paused"' in offered.text) == (True, False)
    assert 'name="status"' not in paused.text
    assert [answer.status_code for answer in denied] == [403, 403]
