"""Trying an endpoint now: what is sent, what is answered, what is kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.api.app import create_app
from service.api.services import Services
from service.observability.telemetry import open_telemetry
from service.runtime.destinations import senders
from tests.api.conftest import EGRESS, attempts_by, handed, serving
from tests.support.operations import a_message, an_endpoint
from tests.support.otlp import running_collector
from tests.support.patience import patient
from tests.support.receiver import Receiver, running_receiver

pytestmark = pytest.mark.usefixtures("application")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


async def test_an_example_is_sent_signed_and_the_answer_says_what_the_receiver_said(
    api: AsyncClient, receiver: Receiver
) -> None:
    schema = {"examples": [{"n": 1}, {"n": 2}]}
    await api.post("/event-type", json={"name": "a.b", "description": "", "schemas": {"1": schema}})
    endpoint = await an_endpoint(api, url=f"{receiver.url}/ok", eventTypes=["a.b"], headers={"X-Mine": "yes"})
    secret = (await api.get(f"/app/u/endpoint/{endpoint}/secret")).json()["key"]

    answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "a.b", "exampleIndex": 1})

    assert answer.status_code == 200
    (call,) = receiver.at("/ok")
    call.verify(secret)
    assert (call.body, call.header("x-mine")) == (b'{"n":2}', "yes")
    message = answer.json()
    assert (message["eventType"], message["payload"]) == ("a.b", {"n": 2})
    assert (message["attempt"]["responseStatusCode"], message["attempt"]["triggerType"]) == (200, 1)


async def test_a_payload_of_the_callers_is_sent_as_it_was_written(api: AsyncClient, receiver: Receiver) -> None:
    endpoint = await an_endpoint(api, url=f"{receiver.url}/ok")
    written = b'{"eventType": "a.b", "payload": {"n":   1.10, "more": [ ]}}'

    answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", content=written)

    assert answer.status_code == 200
    assert [call.body for call in receiver.at("/ok")] == [b'{"n":   1.10, "more": [ ]}']


async def test_an_example_has_a_link_to_its_trace_where_the_operator_said_where_traces_are_shown(
    services: Services, receiver: Receiver
) -> None:
    linking = replace(services, trace_url="https://jaeger.example.com/trace/{trace_id}")

    async with serving(create_app(partial(handed, linking))) as api:
        endpoint = await an_endpoint(api, url=f"{receiver.url}/ok")
        asked = {"eventType": "svix.ping"}
        attempt = (await api.post(f"/app/u/endpoint/{endpoint}/send-example", json=asked)).json()["attempt"]

    assert attempt["traceId"]
    assert attempt["traceUrl"] == f"https://jaeger.example.com/trace/{attempt['traceId']}"


async def test_an_example_is_kept_like_any_message(api: AsyncClient, receiver: Receiver) -> None:
    endpoint = await an_endpoint(api, url=f"{receiver.url}/status/500")

    sent = (await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "svix.ping"})).json()

    attempt = sent.pop("attempt")
    assert (await api.get(f"/app/u/msg/{sent['id']}")).json() == sent | {"payload": {"success": True}}
    assert (await api.get(f"/app/u/attempt/msg/{sent['id']}")).json()["data"] == [attempt]
    destinations = (await api.get(f"/app/u/msg/{sent['id']}/endpoint")).json()["data"]
    assert [(found["id"], found["statusText"]) for found in destinations] == [(endpoint, "fail")]


async def test_an_attempt_tells_what_was_sent_and_what_came_back_without_secrets(
    api: AsyncClient, receiver: Receiver
) -> None:
    endpoint = await an_endpoint(
        api,
        url=f"{receiver.url}/cookie",
        headers={"X-Mine": "yes", "Authorization": "Bearer hidden", "X-Token": "hidden"},
    )

    sent = (await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "svix.ping"})).json()

    attempt = (await api.get(f"/app/u/msg/{sent['id']}/attempt/{sent['attempt']['id']}")).json()
    (call,) = receiver.calls
    masked = {"authorization", "x-token", "webhook-signature", "svix-signature"}
    assert attempt["requestHeaders"] == {
        name: "***" if name.lower() in masked else value
        for name, value in call.headers
        if name not in {"Host", "Content-Length"}
    }
    assert attempt["responseHeaders"] == {"content-length": "2", "set-cookie": "***"}
    assert "hidden" not in json.dumps(attempt)
    assert attempt["reason"] is None


@pytest.mark.parametrize(
    ("path", "error_type", "reason"),
    [
        ("/status/500", None, "The receiver answered 500."),
        ("/garbage", "malformed_answer", "The receiver's answer is not valid HTTP."),
        ("/reset", "reset", "The receiver closed the connection before it answered."),
        ("/short-body", "reset", "After the status 200, the receiver closed the connection."),
        ("/bad-chunk", "malformed_answer", "After the status 200, the rest of the answer is not valid HTTP."),
    ],
)
async def test_why_an_attempt_failed_is_told_also_without_its_content(
    api: AsyncClient, receiver: Receiver, path: str, error_type: str | None, reason: str
) -> None:
    endpoint = await an_endpoint(api, url=receiver.url + path)
    await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "svix.ping"})

    lists = [f"/app/u/attempt/endpoint/{endpoint}?with_content={said}" for said in ("true", "false")]
    (full,), (bare,) = [(await api.get(path)).json()["data"] for path in lists]

    assert (full.get("errorType"), full["reason"]) == (bare.get("errorType"), bare["reason"]) == (error_type, reason)
    assert full["requestHeaders"]
    assert (bare["response"], bare["requestHeaders"], bare["responseHeaders"]) == ("{}", None, None)


async def test_an_example_is_told_like_any_attempt(services: Services, postgres: Database, receiver: Receiver) -> None:
    with running_collector() as collector:
        async with open_telemetry(role="test", version="1", environ=collector.environ()) as telemetry:
            told = replace(
                services,
                attempts=lambda client: attempts_by(
                    senders(client, timeout=patient(5), egress=EGRESS), telemetry=telemetry
                ),
            )
            async with serving(create_app(partial(handed, told))) as api:
                endpoint = await an_endpoint(api, url=f"{receiver.url}/ok", metadata={"relevo.traceparent": "true"})
                answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "svix.ping"})

    sent = answer.json()
    spans = [span for span in collector.spans if span.attributes.get("relevo.message.id") == sent["id"]]
    call, processing = sorted(spans, key=lambda span: span.kind)
    kept = await postgres.pool.fetchrow("SELECT trace_id, span_id FROM attempt WHERE id = $1", sent["attempt"]["id"])
    assert kept is not None
    assert (call.kind, processing.kind) == ("CLIENT", "CONSUMER")
    assert (kept["trace_id"], kept["span_id"]) == (processing.trace_id, processing.span_id)
    assert processing.attributes["relevo.app.uid"] == "u"
    given = receiver.calls[0].header("traceparent")
    assert given
    assert given.startswith(f"00-{call.trace_id}-{call.span_id}-")


async def test_a_fault_of_ours_is_an_attempt_that_is_told_and_kept(services: Services) -> None:
    async with open_telemetry(role="test", version="1", environ={}) as telemetry:
        broken = replace(services, attempts=lambda _client: attempts_by({}, telemetry=telemetry))
        async with serving(create_app(partial(handed, broken))) as api:
            endpoint = await an_endpoint(api)
            answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "svix.ping"})
            kept = (await api.get(f"/app/u/attempt/endpoint/{endpoint}")).json()["data"]

    assert answer.status_code == 200
    attempt = answer.json()["attempt"]
    assert (attempt["errorType"], attempt["reason"]) == ("internal", "The attempt failed on our side.")
    assert kept == [attempt]


async def test_no_connection_is_held_while_the_receiver_takes_its_time(
    api: AsyncClient, postgres: Database, receiver: Receiver
) -> None:
    endpoint = await an_endpoint(api, url=f"{receiver.url}/slow/1")

    asking = asyncio.create_task(api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "svix.ping"}))
    await receiver.wait_for(1)

    assert postgres.engine.pool.status().count("Checked out connections: 0") == 1
    assert (await asking).status_code == 200


async def test_sending_it_again_with_the_same_key_calls_the_receiver_once(api: AsyncClient, receiver: Receiver) -> None:
    endpoint = await an_endpoint(api, url=f"{receiver.url}/ok")
    asked: dict[str, Any] = {"url": f"/app/u/endpoint/{endpoint}/send-example", "headers": {"idempotency-key": "k"}}

    first = await api.post(**asked, json={"eventType": "svix.ping"})
    again = await api.post(**asked, json={"eventType": "svix.ping"})

    assert first.json() == again.json()
    assert len(receiver.calls) == 1


async def test_without_an_example_there_is_nothing_to_send(api: AsyncClient) -> None:
    endpoint = await an_endpoint(api)
    await api.post("/event-type", json={"name": "nothing.known", "description": ""})

    answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "nothing.known"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_scheme")


async def test_an_example_that_does_not_exist_is_a_fault_of_the_request(api: AsyncClient) -> None:
    await api.post("/event-type", json={"name": "a", "description": "", "schemas": {"1": {"examples": [{}]}}})
    endpoint = await an_endpoint(api)

    answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "a", "exampleIndex": 1})

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "exampleIndex"])


async def test_an_example_of_an_unknown_event_type_is_not_found(api: AsyncClient) -> None:
    endpoint = await an_endpoint(api)

    answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "unknown"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_example_is_made_from_a_schema_that_has_none(api: AsyncClient, receiver: Receiver) -> None:
    schema = {"properties": {"id": {"type": "integer", "minimum": 7}, "currency": {"enum": ["EUR", "USD"]}}}
    await api.post("/event-type", json={"name": "a.b", "description": "", "schemas": {"1": {"not": {}}, "2": schema}})
    endpoint = await an_endpoint(api, url=f"{receiver.url}/ok")

    answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "a.b"})

    assert answer.json()["payload"] == {"id": 7, "currency": "EUR"}
    assert [call.body for call in receiver.at("/ok")] == [b'{"id":7,"currency":"EUR"}']


async def test_a_payload_of_the_callers_own_is_sent_with_every_digit(api: AsyncClient, receiver: Receiver) -> None:
    endpoint = await an_endpoint(api, url=f"{receiver.url}/ok")
    payload = b'{"n":12345678901234567890123,"m":[19.990]}'

    answer = await api.post(
        f"/app/u/endpoint/{endpoint}/send-example", content=b'{"eventType":"a.b","payload":' + payload + b"}"
    )

    assert payload in answer.content
    assert [call.body for call in receiver.at("/ok")] == [payload]


async def test_a_disabled_endpoint_is_sent_no_example(api: AsyncClient) -> None:
    endpoint = await an_endpoint(api, disabled=True)

    answer = await api.post(f"/app/u/endpoint/{endpoint}/send-example", json={"eventType": "svix.ping"})

    assert (answer.status_code, answer.json()["code"]) == (400, "endpoint_disabled")


@pytest.mark.parametrize(
    ("message", "active"),
    [
        ({"eventType": "a", "channels": ["c"]}, True),
        ({"eventType": "a", "channels": ["d"]}, False),
        ({"eventType": "a"}, False),
        ({"eventType": "b", "channels": ["c"]}, False),
    ],
)
async def test_whether_a_message_would_reach_anybody_follows_from_what_endpoints_want(
    api: AsyncClient, message: dict[str, object], *, active: bool
) -> None:
    await api.post("/event-type", json={"name": "a", "description": ""})
    await an_endpoint(api, eventTypes=["a"], channels=["c"])
    await an_endpoint(api, disabled=True)

    answer = await api.post("/app/u/msg/precheck/active", json=message)

    assert answer.json() == {"active": active}
    assert await a_message(api)  # the routes of messages are none the worse for it
