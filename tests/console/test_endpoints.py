"""Endpoints in the console: what is done by a form is done as by the API, by whom may do it, and what others write
stays text."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.application.access import Capability, Grant
from service.domain.ids import ApplicationId
from tests.api.conftest import TOKENS
from tests.console.conftest import Browser, browsing, token_of
from tests.support.factories import ORG
from tests.support.operations import a_message, an_endpoint, settled
from tests.support.receiver import Receiver, running_receiver

MARKUP = """<script>alert(1)</script><img src=x onerror=alert(1)>"'&{{ 7*7 }}"""
BIDI = "moc\u202egnp.exe"
APP = "/app/u"


@pytest.fixture
async def application(api: AsyncClient) -> str:
    """The id of an application whose uid is `u`."""
    answer = await api.post("/app", json={"name": "an application", "uid": "u"})
    return str(answer.json()["id"])


@pytest.fixture
async def endpoint(api: AsyncClient, application: str) -> str:
    """The id of an endpoint of it."""
    return await an_endpoint(api)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


async def shown(api: AsyncClient, endpoint: str) -> dict[str, Any]:
    """The endpoint, as the API has it."""
    found: dict[str, Any] = (await api.get(f"{APP}/endpoint/{endpoint}")).json()
    return found


async def actions(api: AsyncClient) -> list[tuple[str, str]]:
    """What the audit trail has of endpoints: the action and its target, oldest first."""
    events = (await api.get("/audit")).json()["data"]
    return [(one["action"], one["target"]) for one in reversed(events) if one["action"].startswith("endpoint.")]


async def test_an_endpoint_is_created_by_a_form_and_audited_as_by_the_api(
    browser: Browser, api: AsyncClient, application: str
) -> None:
    for name in ("invoice.paid", "invoice.sent"):
        await api.post("/event-type", json={"name": name, "description": ""})
    offered = await browser.get(f"{APP}/endpoints/new")

    made = await browser.send(
        f"{APP}/endpoints/new",
        url="https://receiver.example/hook",
        description="first line\r\nsecond line",
        uid="mine",
        eventTypes=["invoice.paid", "invoice.sent"],
        channels="a, b",
        throttleRate="7",
        metadataName=["plan", "", " note "],
        metadataValue=["gold", "", "two\r\nlines"],
    )

    kept = await shown(api, "mine")
    assert offered.text.count('name="eventTypes"') == 2
    assert (made.status_code, made.headers["location"]) == (
        303,
        f"/console/app/{application}/endpoint/{kept['id']}?done=created",
    )
    assert {name: kept[name] for name in ("url", "description", "eventTypes", "channels", "throttleRate")} == {
        "url": "https://receiver.example/hook",
        "description": "first line\nsecond line",
        "eventTypes": ["invoice.paid", "invoice.sent"],
        "channels": ["a", "b"],
        "throttleRate": 7,
    }
    assert kept["metadata"] == {"plan": "gold", "note": "two\nlines"}
    assert ("endpoint.created", kept["id"]) in await actions(api)


@pytest.mark.usefixtures("application")
async def test_a_form_that_is_sent_twice_makes_one_endpoint(browser: Browser, api: AsyncClient) -> None:
    path = f"{APP}/endpoints/new"
    (value,) = re.findall(r'name="once" value="(\w+)"', (await browser.get(path)).text)

    twice = [await browser.send(path, url="http://127.0.0.1:9/", once=value) for _ in range(2)]

    assert twice[0].headers["location"] == twice[1].headers["location"]
    assert len((await api.get(f"{APP}/endpoint")).json()["data"]) == 1


async def test_an_endpoint_is_changed_and_what_the_form_does_not_have_stays(
    browser: Browser, api: AsyncClient, application: str
) -> None:
    await api.post("/event-type", json={"name": "a.b", "description": ""})
    said = {"uid": "mine", "eventTypes": ["a.b"], "metadata": {"plan": "gold"}, "channels": ["c"], "throttleRate": 3}
    endpoint = await an_endpoint(api, **said)
    form = await browser.get(f"{APP}/endpoint/{endpoint}/edit")

    changed = await browser.send(f"{APP}/endpoint/{endpoint}/edit", url="http://127.0.0.1:9/new", channels="d e")

    kept = await shown(api, endpoint)
    assert re.search(r'value="a\.b" checked', form.text)
    assert changed.status_code == 303
    assert (kept["url"], kept["channels"], kept["metadata"]) == ("http://127.0.0.1:9/new", ["d", "e"], {"plan": "gold"})
    assert (kept["uid"], kept["eventTypes"], kept["throttleRate"]) == (None, None, None)


async def test_metadata_is_changed_name_by_name_and_shown_as_text(
    browser: Browser, api: AsyncClient, application: str
) -> None:
    endpoint = await an_endpoint(api, metadata={"plan": "<b>", "old": "1"})
    path = f"{APP}/endpoint/{endpoint}/edit"
    form, url = await browser.get(path), "http://127.0.0.1:9/"

    twice = await browser.send(path, url=url, metadataName=["plan", "plan"], metadataValue=["a", "b"])
    nameless = await browser.send(path, url=url, metadataName=[""], metadataValue=["a value"])
    large = await browser.send(path, url=url, metadataName=["plan"], metadataValue=["x" * 5_000])
    unchanged = await shown(api, endpoint)
    changed = await browser.send(path, url=url, metadataName=["plan", "", "new"], metadataValue=["<b>", "", "2"])
    page = await browser.get(f"{APP}/endpoint/{endpoint}")

    assert 'name="metadataName" value="plan"' in form.text
    assert [one.status_code for one in (twice, nameless, large, changed)] == [422, 422, 422, 303]
    assert "&#39;plan&#39; is there twice" in twice.text
    assert "a value</textarea>" in nameless.text
    assert "Metadata is limited to" in large.text
    assert unchanged["metadata"] == {"plan": "<b>", "old": "1"}
    assert (await shown(api, endpoint))["metadata"] == {"plan": "<b>", "new": "2"}
    assert "new: 2\nplan: &lt;b&gt;</dd>" in page.text


async def test_metadata_that_no_form_gives_back_stays_as_it_is(
    browser: Browser, api: AsyncClient, application: str
) -> None:
    said = {f"name {n}": str(n) for n in range(101)}
    endpoint = await an_endpoint(api, metadata=said)
    form = await browser.get(f"{APP}/endpoint/{endpoint}/edit")

    changed = await browser.send(f"{APP}/endpoint/{endpoint}/edit", url="http://127.0.0.1:9/new")

    assert 'name="metadataName"' not in form.text
    assert "Its metadata is kept as it is" in form.text
    assert changed.status_code == 303
    assert (await shown(api, endpoint))["metadata"] == said


@pytest.mark.usefixtures("application")
async def test_a_form_that_is_refused_comes_back_with_what_is_wrong_at_each_field(
    browser: Browser, api: AsyncClient
) -> None:
    path = f"{APP}/endpoints/new"
    typed = await browser.send(path, url="ftp://x", description="kept as typed", uid="with blanks", throttleRate="0")
    unknown = await browser.send(path, url="http://127.0.0.1:9/", eventTypes=["un.known"])
    refused = await browser.send(path, url="http://10.0.0.1/")

    assert [one.status_code for one in (typed, unknown, refused)] == [422, 422, 422]
    assert typed.text.count('aria-invalid="true"') == 3
    assert "kept as typed</textarea>" in typed.text
    assert "The following event types don&#39;t exist: un.known" in unknown.text
    assert re.search(r'value="un\.known" checked', unknown.text)
    assert 'aria-invalid="true"' in refused.text
    assert (await api.get(f"{APP}/endpoint")).json()["data"] == []


async def test_an_endpoint_is_disabled_and_enabled_and_its_page_says_so(
    browser: Browser, api: AsyncClient, endpoint: str
) -> None:
    path = f"{APP}/endpoint/{endpoint}"
    await browser.get(path)

    await browser.send(f"{path}/disable")
    disabled, off, possible = await shown(api, endpoint), await browser.get(path), await offered(browser, endpoint)
    await browser.send(f"{path}/enable")
    enabled, on = await shown(api, endpoint), await browser.get(path)

    assert (disabled["disabled"], disabled["disabledReason"], enabled["disabled"]) == (True, "customer", False)
    assert "Somebody disabled it" in off.text
    assert disabled["disabledAt"][:19].replace("T", " ") in off.text
    assert possible.isdisjoint({"example", "recover", "replay-missing", "bulk-replay"})
    assert "Somebody disabled it" not in on.text
    assert (await actions(api)).count(("endpoint.changed", endpoint)) == 2


@pytest.mark.parametrize(("reason", "said"), [("gone", "410 Gone"), ("failing", "Nothing but failures")])
async def test_the_page_says_why_an_endpoint_was_disabled_by_itself(
    browser: Browser, postgres: Database, endpoint: str, reason: str, said: str
) -> None:
    await postgres.pool.execute("UPDATE endpoint SET disabled = true, disabled_reason = $1", reason)

    page = await browser.get(f"{APP}/endpoint/{endpoint}")

    assert said in page.text


async def test_the_page_says_since_when_an_endpoint_fails_and_until_when_it_rests(
    browser: Browser, postgres: Database, endpoint: str
) -> None:
    before = await browser.get(f"{APP}/endpoint/{endpoint}")
    began, until = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime.now(UTC) + timedelta(minutes=5)
    await postgres.pool.execute("UPDATE endpoint SET first_failure_at = $1", began)
    await postgres.pool.execute(
        "INSERT INTO endpoint_rest (endpoint_id, rests, until) VALUES ($1, 1, $2)", endpoint, until
    )

    page = await browser.get(f"{APP}/endpoint/{endpoint}")

    assert not re.search(r">failing<|>resting<", before.text)
    assert re.search(r">failing</span> since <time[^>]*>2026-03-01 12:00:00 UTC", page.text)
    assert re.search(rf">resting</span> until <time[^>]*>{until:%Y-%m-%d %H:%M:%S} UTC", page.text)


async def test_the_page_has_the_last_day_and_the_last_attempts_with_links(
    browser: Browser, api: AsyncClient, postgres: Database, application: str, endpoint: str
) -> None:
    delivered = await a_message(api, eventType="of.one")
    await settled(postgres, status=0)
    failed = await a_message(api, eventType="of.two")
    await settled(postgres, status=2, code=503)
    await postgres.pool.execute("UPDATE attempt SET duration_ms = 2500, trace_id = repeat('a', 32) WHERE status = 2")
    await postgres.pool.execute(
        "INSERT INTO endpoint_hour (endpoint_id, hour, part, org_id, app_id, success, fail, canceled)"
        " VALUES ($1, date_trunc('hour', now(), 'UTC'), 0, $2, $3, 1234, 1, 0)",
        endpoint,
        ORG,
        application,
    )

    page = await browser.get(f"{APP}/endpoint/{endpoint}")
    failures = await browser.get(f"{APP}/endpoint/{endpoint}?status=2")

    assert "1,234 succeeded, 1 failed" in page.text
    for message, event_type in ((delivered, "of.one"), (failed, "of.two")):
        attempt = message.replace("msg_", "atmpt_")
        assert f'<a href="/console/app/{application}/msg/{message}#{attempt}">{event_type}</a>' in page.text
    assert "The receiver answered 503." in page.text
    assert "a" * 32 in page.text
    assert re.search(r"<dt>Longest of these</dt><dd>2\.5 s</dd>", page.text)
    assert (failed in failures.text, delivered in failures.text) == (True, False)


async def test_attempts_are_read_page_by_page(
    browser: Browser, api: AsyncClient, postgres: Database, endpoint: str
) -> None:
    sent = [await a_message(api) for _ in range(3)]
    await settled(postgres, status=0)

    first = await browser.get(f"{APP}/endpoint/{endpoint}?limit=2")
    (onwards,) = re.findall(r'rel="next" href="/console([^"]+)"', first.text)
    second = await browser.get(onwards.replace("&amp;", "&"))

    assert [one in first.text for one in sent] == [False, True, True]
    assert [one in second.text for one in sent] == [True, False, False]


async def test_an_endpoint_is_deleted_by_the_typed_host_of_its_url(
    browser: Browser, api: AsyncClient, application: str
) -> None:
    endpoint = await an_endpoint(api, url="https://receiver.example/hook")
    path = f"{APP}/endpoint/{endpoint}"
    asked = await browser.get(f"{path}/delete")

    wrong = await browser.send(f"{path}/delete", host="other.example")
    stays = await shown(api, endpoint)
    right = await browser.send(f"{path}/delete", host="receiver.example")

    assert "The host is receiver.example." in asked.text
    assert (wrong.status_code, stays["id"]) == (422, endpoint)
    assert right.headers["location"] == f"/console/app/{application}?done=deleted"
    assert (await api.get(path)).status_code == 404


async def test_the_secret_is_in_no_page_before_it_is_asked_for_which_the_audit_trail_tells(
    browser: Browser, api: AsyncClient, endpoint: str
) -> None:
    path = f"{APP}/endpoint/{endpoint}"
    secret = (await api.get(f"{path}/secret")).json()["key"]
    before = await actions(api)

    pages = [await browser.get(f"{path}{part}") for part in ("", "/secret", "/edit", "/headers")]
    unread = await actions(api)
    asked = await browser.send(f"{path}/secret")
    again = await browser.get(f"{path}/secret")

    assert [secret.removeprefix("whsec_") in one.text for one in (*pages, again)] == [False] * 5
    assert (asked.status_code, secret in asked.text) == (200, True)
    assert asked.headers["cache-control"] == "no-store"
    assert unread == before
    assert await actions(api) == [*before, ("endpoint.secret_read", endpoint)]


async def test_a_secret_is_replaced_and_the_old_one_signs_for_as_long_as_was_chosen(
    browser: Browser, api: AsyncClient, receiver: Receiver, application: str
) -> None:
    endpoint = await an_endpoint(api, url=f"{receiver.url}/ok")
    path = f"{APP}/endpoint/{endpoint}"
    old = (await api.get(f"{path}/secret")).json()["key"]
    await browser.get(f"{path}/secret")

    rotated = await browser.send(f"{path}/secret/rotate", gracePeriodSeconds="3600", key="")
    new = (await api.get(f"{path}/secret")).json()["key"]
    await browser.send(f"{path}/example", eventType="svix.ping")
    await browser.send(f"{path}/secret/end-old")
    await browser.send(f"{path}/example", eventType="svix.ping")

    both, alone = receiver.at("/ok")
    assert rotated.headers["location"] == f"/console/app/{application}/endpoint/{endpoint}/secret?done=rotated"
    assert new != old
    both.verify(old)
    both.verify(new)
    alone.verify(new)
    assert len((alone.header("webhook-signature") or "").split()) == 1
    assert [action for action, _ in await actions(api) if action != "endpoint.secret_read"] == [
        "endpoint.created",
        "endpoint.secret_rotated",
        "endpoint.old_secrets_ended",
    ]


async def test_a_secret_of_ones_own_is_taken_and_one_that_is_refused_is_not_shown_again(
    browser: Browser, api: AsyncClient, endpoint: str
) -> None:
    path = f"{APP}/endpoint/{endpoint}"
    own = "whsec_" + "QUJD" * 8
    await browser.get(f"{path}/secret")

    taken = await browser.send(f"{path}/secret/rotate", gracePeriodSeconds="0", key=own)
    refused = await browser.send(f"{path}/secret/rotate", gracePeriodSeconds="0", key="whsec_too+short")

    assert taken.status_code == 303
    assert (await api.get(f"{path}/secret")).json()["key"] == own
    assert refused.status_code == 422
    assert "too+short" not in refused.text
    assert 'aria-invalid="true"' in refused.text


async def test_headers_are_set_changed_and_removed_and_a_hidden_one_stays(
    browser: Browser, api: AsyncClient, postgres: Database, receiver: Receiver, application: str
) -> None:
    said = {"X-Kept": "one", "X-Gone": "two", "Authorization": "Bearer of-nobody"}
    endpoint = await an_endpoint(api, url=f"{receiver.url}/ok", headers=said)
    path = f"{APP}/endpoint/{endpoint}"
    form = await browser.get(f"{path}/headers")

    names = re.findall(r'type="hidden" name="name" value="([^"]+)"', form.text)
    values = {"X-Kept": "three", "X-Gone": "two", "Authorization": ""}
    changed = await browser.send(
        f"{path}/headers",
        name=[*names, "X-New", "", ""],
        value=[*(values[name] for name in names), "four", "", ""],
        remove=["X-Gone"],
    )
    page = await browser.get(path)
    await browser.send(f"{path}/example", eventType="svix.ping")

    (call,) = receiver.at("/ok")
    sent = {name: call.header(name) for name in ("X-Kept", "X-New", "X-Gone", "Authorization")}
    assert changed.status_code == 303
    assert sent == {"X-Kept": "three", "X-New": "four", "X-Gone": None, "Authorization": "Bearer of-nobody"}
    assert "of-nobody" not in form.text + page.text
    assert re.search(r"<dt>Authorization</dt><dd>hidden</dd>", page.text)
    assert ("endpoint.headers_changed", endpoint) in await actions(api)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("X-A", "1"), ("x-a", "2")], "there twice"),
        ([("", "a value"), ("", "")], "needs a name"),
        ([("Content-Length", "7")], "not yours to set"),
        ([("X-A", "\N{SNOWMAN}")], "printable Latin-1"),
        ([("not a name", "1"), ("Authorization", "of-nobody")], "is not the name of a header"),
    ],
)
async def test_headers_that_are_refused_come_back_without_what_is_secret(
    browser: Browser, api: AsyncClient, endpoint: str, rows: list[tuple[str, str]], said: str
) -> None:
    path = f"{APP}/endpoint/{endpoint}/headers"
    await browser.get(path)

    refused = await browser.send(path, name=[name for name, _ in rows], value=[value for _, value in rows])

    assert refused.status_code == 422
    assert said in refused.text
    assert "of-nobody" not in refused.text
    assert (await api.get(path)).json() == {"headers": {}, "sensitive": []}


async def test_an_example_leads_to_its_message_which_has_the_answer(
    browser: Browser, api: AsyncClient, receiver: Receiver, application: str
) -> None:
    await api.post("/event-type", json={"name": "a.b", "description": "", "schemas": {"1": {"examples": [{"n": 42}]}}})
    endpoint = await an_endpoint(api, url=f"{receiver.url}/body/{MARKUP.encode().hex()}")
    path = f"{APP}/endpoint/{endpoint}/example"
    form = await browser.get(path)

    sent = await browser.send(path, eventType="a.b")
    message = await browser.get(sent.headers["location"].removeprefix("/console"))

    assert '<option value="a.b">' in form.text
    assert [call.body for call in receiver.calls] == [b'{"n":42}']
    assert (sent.status_code, message.status_code) == (303, 200)
    assert "What the receiver answered is below" in message.text
    assert "&lt;script&gt;alert(1)" in message.text
    assert "<script>alert" not in message.text


async def test_an_example_that_cannot_be_sent_is_refused_in_the_form(
    browser: Browser, api: AsyncClient, endpoint: str
) -> None:
    path = f"{APP}/endpoint/{endpoint}/example"
    await browser.get(path)
    await api.post("/event-type", json={"name": "no.schema", "description": ""})

    unknown = await browser.send(path, eventType="un.known")
    without = await browser.send(path, eventType="no.schema")
    await api.patch(f"{APP}/endpoint/{endpoint}", json={"disabled": True})
    disabled = await browser.send(path, eventType="svix.ping")

    assert [one.status_code for one in (unknown, without, disabled)] == [422, 400, 400]
    assert "There is no event type of that name." in unknown.text
    assert "Unable to generate an example" in without.text
    assert "Enable it before sending" in disabled.text
    assert (await api.get(f"{APP}/msg")).json()["data"] == []


async def test_what_is_written_by_others_is_shown_as_text(browser: Browser, api: AsyncClient, application: str) -> None:
    renamed = await api.patch("/app/u", json={"name": MARKUP + BIDI})
    said = {"description": MARKUP + BIDI, "headers": {"X-Mine": MARKUP}, "url": f"http://127.0.0.1:9/{MARKUP}"}
    endpoint = await an_endpoint(api, **said)
    parts = ("", "/edit", "/delete", "/secret", "/headers", "/example", "/recover", "/replay-missing", "/bulk-replay")

    pages = [await browser.get(f"{APP}/endpoint/{endpoint}{part}") for part in parts]

    assert renamed.status_code == 200
    assert [one.status_code for one in pages] == [200] * len(parts)
    for one in pages:
        assert not re.search(r"<script>alert|<img|<script(?![^>]*src=)|<style|\sstyle=", one.text)
        # What can be edited is as it was written.
        assert BIDI not in re.sub(r"<textarea.*?</textarea>", "", one.text, flags=re.DOTALL)
    assert "&lt;script&gt;alert(1)" in pages[0].text
    assert "[U+202E RIGHT-TO-LEFT OVERRIDE]" in pages[0].text


async def test_a_very_long_url_is_shown_whole_once_and_in_part_elsewhere(
    browser: Browser, api: AsyncClient, application: str
) -> None:
    long = "http://127.0.0.1:9/" + "x" * 60_000
    endpoint = await an_endpoint(api, url=long)

    page, deleting = [await browser.get(f"{APP}/endpoint/{endpoint}{part}") for part in ("", "/delete")]

    assert page.text.count(long) == 1
    assert len(deleting.text) < 10_000


FORMS = ("edit", "disable", "enable", "delete", "secret", "secret/rotate", "secret/end-old", "headers", "example",
         "recover", "replay-missing", "bulk-replay")  # fmt: skip
PAGES = ("edit", "delete", "secret", "headers", "example", "recover", "replay-missing", "bulk-replay")


async def offered(browser: Browser, endpoint: str) -> set[str]:
    """What the endpoint's page offers to do, by links and by forms."""
    page = await browser.get(f"{APP}/endpoint/{endpoint}")
    assert page.status_code == 200
    return set(re.findall(rf'(?:href|action)="/console/app/\w+/endpoint/{endpoint}/([^"?]+)"', page.text))


async def refused(browser: Browser, endpoint: str) -> set[str]:
    """The forms and their pages that answer 403."""
    path = f"{APP}/endpoint/{endpoint}"
    sent = {part for part in FORMS if (await browser.send(f"{path}/{part}", url="http://x.example")).status_code == 403}
    seen = {part for part in PAGES if (await browser.get(f"{path}/{part}")).status_code == 403}
    assert seen == sent & set(PAGES)
    return sent


async def test_a_reader_sees_an_endpoint_and_can_do_nothing_to_it(
    stranger: Browser, api: AsyncClient, endpoint: str
) -> None:
    before = await shown(api, endpoint)
    await stranger.sign_in(token_of("reader"))

    assert await offered(stranger, endpoint) == set()
    assert await refused(stranger, endpoint) == set(FORMS)
    assert (await stranger.get(f"{APP}/endpoints/new")).status_code == 403
    assert "endpoints/new" not in (await stranger.get(APP)).text
    assert await shown(api, endpoint) == before


CAPABLE: dict[str, tuple[frozenset[Capability], set[str]]] = {
    "of nothing": (frozenset({"ViewBase"}), set()),
    "of attempts": (frozenset({"ViewBase", "CreateAttempts"}), {"example", "recover", "replay-missing", "bulk-replay"}),
    "of seeing the secret": (frozenset({"ViewBase", "ViewEndpointSecret"}), {"secret"}),
    "of replacing the secret": (
        frozenset({"ViewBase", "ManageEndpointSecret"}),
        {"secret", "secret/rotate", "secret/end-old"},
    ),
}


@pytest.mark.parametrize("what", CAPABLE)
async def test_a_customer_does_what_the_capabilities_allow_and_is_offered_nothing_else(
    app: FastAPI, api: AsyncClient, application: str, endpoint: str, what: str
) -> None:
    capabilities, allowed = CAPABLE[what]
    grant = Grant(capabilities=capabilities)
    token = TOKENS.mint_for_application(ApplicationId(application), ORG, now=datetime.now(UTC), grant=grant)

    async with browsing(app) as customer:
        await customer.sign_in(token)
        on_page = await offered(customer, endpoint)
        forbidden = await refused(customer, endpoint)

    assert on_page == allowed & {*PAGES, "disable"}
    assert forbidden == set(FORMS) - allowed


async def test_a_customer_finds_no_endpoint_of_another_application(
    app: FastAPI, api: AsyncClient, endpoint: str
) -> None:
    other = (await api.post("/app", json={"name": "other"})).json()["id"]
    token = TOKENS.mint_for_application(ApplicationId(other), ORG, now=datetime.now(UTC))

    async with browsing(app) as customer:
        await customer.sign_in(token)
        foreign = await customer.get(f"{APP}/endpoint/{endpoint}")
        hidden = await customer.get(f"/app/{other}/endpoint/{endpoint}")

    assert (foreign.status_code, hidden.status_code) == (404, 404)
