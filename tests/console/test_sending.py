"""A test message, sent by a form: it is kept as one of the API's would be, or refused as one would be."""

import json
from datetime import UTC, datetime
from html import unescape

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.application.access import EVERY_CAPABILITY, Grant
from service.domain.ids import ApplicationId
from tests.api.conftest import TOKENS
from tests.console.conftest import Browser, browsing, token_of
from tests.support.factories import ORG

MARKUP = "<script>alert(1)</script></textarea>"
SCHEMA = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "const": MARKUP}}}


@pytest.fixture
async def application(api: AsyncClient) -> str:
    """An application's id, with an endpoint, in an organisation with an event type that checks payloads."""
    app_id: str = (await api.post("/app", json={"name": "an application"})).json()["id"]
    (await api.post(f"/app/{app_id}/endpoint", json={"url": "http://127.0.0.1:9/"})).raise_for_status()
    body = {"name": "invoice.paid", "description": "", "schemas": {"1": SCHEMA}, "validatePayloads": True}
    (await api.post("/event-type", json=body)).raise_for_status()
    return app_id


async def test_an_example_is_edited_in_place_and_sent_byte_for_byte(
    browser: Browser, api: AsyncClient, application: str, postgres: Database
) -> None:
    chosen = await browser.get(f"/app/{application}/send?event_type=invoice.paid")
    typed = unescape(chosen.text.partition('<textarea id="payload"')[2].partition(">")[2].partition("</textarea>")[0])
    edited = typed.strip().replace("}", ',\r\n "amount":  19.990}')

    sent = await browser.send(
        f"/app/{application}/send",
        eventType="invoice.paid",
        payload=edited,
        eventId="e-1",
        channels="one, two",
        tags="test",
    )
    (message,) = (await api.get(f"/app/{application}/msg")).json()["data"]
    stored = await postgres.pool.fetchrow("SELECT payload, org_id FROM message")

    assert json.loads(typed) == {"id": MARKUP}
    assert (sent.status_code, sent.headers["location"]) == (
        303,
        f"/console/app/{application}/msg/{message['id']}?done=sent",
    )
    assert (message["eventType"], message["eventId"], message["channels"], message["tags"]) == (
        "invoice.paid",
        "e-1",
        ["one", "two"],
        ["test"],
    )
    assert stored["payload"] == edited.replace("\r\n", "\n").encode()
    assert await postgres.pool.fetchval("SELECT count(*) FROM pending_delivery") == 1


async def test_the_page_of_the_application_leads_to_the_form(browser: Browser, application: str) -> None:
    page = await browser.get(f"/app/{application}")
    form = await browser.get(f"/app/{application}/send")

    assert f'href="/console/app/{application}/send"' in page.text
    assert '<option value="invoice.paid">' in form.text
    assert "<textarea" not in form.text


@pytest.mark.parametrize("name", ["unknown", "svix.ping", "with blanks", MARKUP, "\x00"])
async def test_an_event_type_without_an_example_gets_a_payload_by_hand(
    browser: Browser, application: str, name: str
) -> None:
    page = await browser.client.get(f"/console/app/{application}/send", params={"event_type": name})

    assert page.status_code == 200
    assert "<textarea" in page.text
    assert "<script>alert" not in page.text
    assert ("There is no example" in page.text) == (name != "svix.ping")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"payload": "{"}, "payload"),
        ({"payload": "[1]"}, "payload"),
        ({"payload": ""}, "payload"),
        ({"payload": MARKUP}, "payload"),
        ({"payload": '{"id": 7}'}, "payload"),
        ({"eventType": ""}, "eventType"),
        ({"eventType": "with blanks"}, "eventType"),
        ({"eventId": "msg_1"}, "eventId"),
        ({"channels": "a/b"}, "channels"),
        ({"tags": ",".join("abcdef")}, "tags"),
    ],
)
async def test_a_refused_message_comes_back_as_it_was_typed(
    browser: Browser, api: AsyncClient, application: str, fields: dict[str, str], field: str
) -> None:
    right = {"eventType": "invoice.paid", "payload": json.dumps({"id": MARKUP})}

    answer = await browser.send(f"/app/{application}/send", **{**right, **fields})

    hint = answer.text.partition(f'id="{field}-hint"')[2].partition("</span>")[0]
    assert answer.status_code == 422
    assert '<strong class="problem">' in hint
    assert fields[field] in unescape(answer.text)
    assert "<script>alert" not in answer.text
    assert (await api.get(f"/app/{application}/msg")).json()["data"] == []


async def test_a_second_message_with_an_event_id_is_refused(browser: Browser, application: str) -> None:
    fields = {"eventType": "a.b", "payload": "{}", "eventId": "e-1"}

    answers = [await browser.send(f"/app/{application}/send", **fields) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 409]
    assert "exists already" in answers[1].text


async def test_a_form_that_is_sent_twice_sends_one_message_unless_it_was_changed(
    browser: Browser, api: AsyncClient, application: str
) -> None:
    form = await browser.get(f"/app/{application}/send?event_type=a.b")
    shown = form.text.partition('name="once" value="')[2].partition('"')[0]
    payloads = ["{}", "{}", '{"changed": true}']

    sent = [
        await browser.send(f"/app/{application}/send", once=shown, eventType="a.b", payload=one) for one in payloads
    ]
    messages = (await api.get(f"/app/{application}/msg")).json()["data"]

    assert [answer.status_code for answer in sent] == [303] * 3
    assert sent[0].headers["location"] == sent[1].headers["location"]
    assert [message["payload"] for message in messages] == [{"changed": True}, {}]


@pytest.mark.parametrize(("role", "status"), [("reader", 403), ("writer", 303), ("admin", 303)])
async def test_sending_takes_a_writer(stranger: Browser, application: str, role: str, status: int) -> None:
    await stranger.sign_in(token_of(role))
    page = await stranger.get(f"/app/{application}")

    form = await stranger.get(f"/app/{application}/send")
    sent = await stranger.send(f"/app/{application}/send", eventType="a.b", payload="{}")

    allowed = status == 303
    assert ("Send a test message" in page.text, form.status_code == 200) == (allowed, allowed)
    assert sent.status_code == status


async def test_a_customer_sends_nothing_since_the_api_lets_none(
    app: FastAPI, api: AsyncClient, application: str
) -> None:
    grant = Grant(capabilities=EVERY_CAPABILITY)
    token = TOKENS.mint_for_application(ApplicationId(application), ORG, now=datetime.now(UTC), grant=grant)

    async with browsing(app) as customer:
        await customer.sign_in(token)
        page = await customer.get(f"/app/{application}")
        sent = await customer.send(f"/app/{application}/send", eventType="a.b", payload="{}")

    assert "Send a test message" not in page.text
    assert sent.status_code == 403
    assert (await api.get(f"/app/{application}/msg")).json()["data"] == []


async def test_another_organisations_application_is_not_found(browser: Browser, api: AsyncClient) -> None:
    form = await browser.get("/app/unknown/send")
    sent = await browser.send("/app/unknown/send", eventType="a.b", payload="{}")

    assert (form.status_code, sent.status_code) == (404, 404)
    assert (await api.get("/app")).json()["data"] == []
