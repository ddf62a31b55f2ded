"""What became of messages, as the API tells it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.api.app import create_app
from service.api.services import Services
from service.domain import ids
from service.domain.moves import SET_ASIDE
from tests.api.conftest import handed, serving
from tests.support.clock import HandClock

ATTEMPT = """
INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, channels, url, status, response,
                     response_status_code, duration_ms, trigger, number, error_type, trace_id)
SELECT $1, m.org_id, m.app_id, m.id, $3, m.event_type, m.channels, 'http://127.0.0.1/', $4, 'said', $5, 12, 0, 1, $6, $7
FROM message m WHERE m.id = $2
"""
SETTLE = """
WITH gone AS (DELETE FROM pending_delivery WHERE message_id = $1 AND endpoint_id = $2 RETURNING org_id, app_id)
INSERT INTO settled_delivery SELECT $1, $2, org_id, app_id, $3, 1 FROM gone
"""
TRIED = "UPDATE pending_delivery SET attempts = 1"


@pytest.fixture
async def endpoints(api: AsyncClient, application: str) -> list[str]:
    """Two endpoints, by id; the first has the uid `one`."""
    bodies = [{"url": "http://127.0.0.1/", "uid": "one"}, {"url": "http://127.0.0.1/"}]
    return [(await api.post(f"/app/{application}/endpoint", json=body)).json()["id"] for body in bodies]


@pytest.fixture
async def message(api: AsyncClient, application: str, endpoints: list[str]) -> str:
    """A message that both endpoints are owed, by id; its event id is `ev`."""
    body = {"eventType": "a.b", "eventId": "ev", "payload": {"n": 1}, "channels": ["c"], "tags": ["t"]}
    message_id: str = (await api.post(f"/app/{application}/msg", json=body)).json()["id"]
    return message_id


async def _attempted(
    database: Database, message: str, endpoint: str, *, status: int, code: int, minute: int = 0
) -> str:
    attempt = new_id(ids.ATTEMPT, at=datetime.now(UTC) + timedelta(minutes=minute))
    error = None if code else "timeout"
    await database.pool.execute(ATTEMPT, attempt, message, endpoint, status, code, error, "t" * 32)
    return attempt


async def test_an_attempt_is_told_in_full(
    postgres: Database, api: AsyncClient, endpoints: list[str], message: str
) -> None:
    attempt = await _attempted(postgres, message, endpoints[0], status=2, code=0)

    found = (await api.get(f"/app/u/msg/ev/attempt/{attempt}")).json()

    assert found == {
        "id": attempt,
        "msgId": message,
        "endpointId": endpoints[0],
        "url": "http://127.0.0.1/",
        "status": 2,
        "statusText": "fail",
        "responseStatusCode": 0,
        "responseDurationMs": 12,
        "response": "said",
        "triggerType": 0,
        "timestamp": found["timestamp"],
        "errorType": "timeout",
        "reason": "The receiver did not answer in time.",
        "requestHeaders": None,
        "responseHeaders": None,
        "traceId": "t" * 32,
        "traceUrl": None,
        "msg": None,
    }


async def test_an_attempt_has_a_link_to_its_trace_where_the_operator_said_where_traces_are_shown(
    postgres: Database, services: Services, endpoints: list[str], message: str
) -> None:
    attempt = await _attempted(postgres, message, endpoints[0], status=2, code=0)
    linking = replace(services, trace_url="https://jaeger.example.com/trace/{trace_id}?uiFind={trace_id}")

    async with serving(create_app(partial(handed, linking))) as api:
        one = (await api.get(f"/app/u/msg/ev/attempt/{attempt}")).json()
        lists = [
            (await api.get(f"/app/u/attempt/{path}")).json()["data"] for path in ("msg/ev", f"endpoint/{endpoints[0]}")
        ]

    trace = "t" * 32
    assert one["traceUrl"] == f"https://jaeger.example.com/trace/{trace}?uiFind={trace}"
    assert lists == [[one], [one]]


async def test_attempts_are_listed_newest_first_and_by_what_is_asked_for(
    postgres: Database, api: AsyncClient, endpoints: list[str], message: str
) -> None:
    attempts = [
        await _attempted(postgres, message, endpoints[0], status=2, code=503, minute=1),
        await _attempted(postgres, message, endpoints[1], status=2, code=0, minute=2),
        await _attempted(postgres, message, endpoints[0], status=0, code=204, minute=3),
    ]

    async def found(path: str, **query: Any) -> list[int]:
        page = (await api.get(f"/app/u/attempt/{path}", params=query)).json()
        return [attempts.index(attempt["id"]) for attempt in page["data"]]

    assert await found("msg/ev") == [2, 1, 0]
    assert await found(f"msg/{message}", endpoint_id="one") == [2, 0]
    assert await found("endpoint/one") == [2, 0]
    assert await found("endpoint/one", status=2) == [0]
    assert await found("endpoint/one", status_code_class=200) == [2]
    assert await found("msg/ev", status_code_class=0) == [1]
    assert await found("msg/ev", channel="c", tag="t", event_types="a.b,c") == [2, 1, 0]
    assert await found("msg/ev", channel="d") == []
    assert await found("msg/ev", tag="d") == []
    assert await found("msg/ev", after="2100-01-01T00:00:00Z") == []
    assert await found("msg/ev", limit=1, iterator=attempts[2]) == [1]
    assert await found("msg/ev", limit=1, iterator=f"-{attempts[0]}") == [1]


async def test_content_and_message_come_with_attempts_when_asked_for(
    postgres: Database, api: AsyncClient, endpoints: list[str], message: str
) -> None:
    await _attempted(postgres, message, endpoints[0], status=0, code=200)

    answer = await api.get("/app/u/attempt/endpoint/one", params={"with_content": "false", "with_msg": "true"})

    attempt = answer.json()["data"][0]
    assert attempt["response"] == "{}"
    assert attempt["msg"]["id"] == message
    assert attempt["msg"]["eventType"] == "a.b"
    assert attempt["msg"]["payload"] == {}


async def test_what_was_never_tried_is_not_among_what_was(api: AsyncClient, message: str) -> None:
    destinations = (await api.get(f"/app/u/msg/{message}/endpoint")).json()["data"]
    messages = (await api.get("/app/u/endpoint/one/msg")).json()["data"]

    assert (destinations, messages) == ([], [])


async def test_destinations_tell_what_is_tried_again_and_what_is_final(
    postgres: Database, api: AsyncClient, endpoints: list[str], message: str
) -> None:
    await postgres.pool.execute(SETTLE, message, endpoints[0], 0)
    await postgres.pool.execute(TRIED)
    await api.delete(f"/app/u/endpoint/{endpoints[0]}")

    page = (await api.get("/app/u/msg/ev/endpoint")).json()
    first = (await api.get("/app/u/msg/ev/endpoint", params={"limit": 1})).json()
    second = (await api.get("/app/u/msg/ev/endpoint", params={"limit": 1, "iterator": first["iterator"]})).json()

    told = {item["id"]: (item["status"], item["statusText"], item["nextAttempt"] is None) for item in page["data"]}
    assert told == {endpoints[0]: (0, "success", True), endpoints[1]: (3, "sending", False)}
    assert [item["id"] for item in page["data"]] == sorted(endpoints)
    assert (first["data"] + second["data"], first["done"], second["done"]) == (page["data"], False, True)


async def test_an_endpoint_lists_its_messages_and_how_each_stands(
    postgres: Database, api: AsyncClient, endpoints: list[str], message: str
) -> None:
    await postgres.pool.execute(SETTLE, message, endpoints[0], 2)
    newer = (await api.post("/app/u/msg", json={"eventType": "a.b", "payload": {}})).json()["id"]
    await postgres.pool.execute(TRIED)

    everything = (await api.get("/app/u/endpoint/one/msg")).json()["data"]
    failed = (await api.get("/app/u/endpoint/one/msg", params={"status": 2})).json()["data"]

    assert [(item["id"], item["statusText"]) for item in everything] == [(newer, "sending"), (message, "fail")]
    assert [item["id"] for item in failed] == [message]
    assert failed[0]["payload"] == {"n": 1}
    assert ("nextAttempt" in everything[0], "nextAttempt" in everything[1]) == (True, False)


@pytest.mark.usefixtures("message")
async def test_while_its_organisation_moves_a_delivery_is_tried_next_when_it_was_due(
    postgres: Database, api: AsyncClient
) -> None:
    due = "UPDATE pending_delivery SET attempts = 1, due_at = now() + interval '7 minutes' RETURNING due_at"
    due_at = await postgres.pool.fetchval(due)

    await postgres.pool.execute("UPDATE pending_delivery SET due_at = due_at + $1", SET_ASIDE)

    destinations = (await api.get("/app/u/msg/ev/endpoint")).json()["data"]
    (listed,) = (await api.get("/app/u/endpoint/one/msg")).json()["data"]
    shown = [told["nextAttempt"] for told in (*destinations, listed)]
    assert [datetime.fromisoformat(time) for time in shown] == [due_at] * 3


async def test_a_resend_owes_one_attempt_more_and_leaves_the_schedule_alone(
    postgres: Database, api: AsyncClient, endpoints: list[str], message: str
) -> None:
    answer = await api.post("/app/u/msg/ev/endpoint/one/resend")

    owed = await postgres.pool.fetch(
        "SELECT resend <> '' AS manual FROM pending_delivery WHERE message_id = $1 AND endpoint_id = $2",
        message,
        endpoints[0],
    )
    assert (answer.status_code, answer.json()) == (202, {})
    assert sorted(row["manual"] for row in owed) == [False, True]


async def test_a_resend_knows_the_trace_of_the_attempt_before(
    postgres: Database, api: AsyncClient, endpoints: list[str], message: str
) -> None:
    for second, trace in enumerate("ab"):
        attempt = new_id(ids.ATTEMPT, at=datetime.now(UTC) + timedelta(seconds=second))
        await postgres.pool.execute(ATTEMPT, attempt, message, endpoints[0], 2, 500, None, trace * 32)
    await postgres.pool.execute("UPDATE attempt SET span_id = left(trace_id, 16)")

    answer = await api.post("/app/u/msg/ev/endpoint/one/resend")

    assert answer.status_code == 202
    previous = await postgres.pool.fetchval("SELECT previous FROM pending_delivery WHERE resend <> ''")
    assert previous == f"00-{'b' * 32}-{'b' * 16}-01"


@pytest.mark.usefixtures("endpoints")
async def test_a_resend_reaches_an_endpoint_that_would_not_be_sent_the_message(
    postgres: Database, api: AsyncClient, message: str
) -> None:
    await api.post("/event-type", json={"name": "other", "description": ""})
    narrow = {"url": "http://127.0.0.1/", "eventTypes": ["other"], "channels": ["other"]}
    endpoint = (await api.post("/app/u/endpoint", json=narrow)).json()["id"]

    answer = await api.post(f"/app/u/msg/ev/endpoint/{endpoint}/resend")

    owed = await postgres.pool.fetchval("SELECT message_id FROM pending_delivery WHERE endpoint_id = $1", endpoint)
    assert (answer.status_code, owed) == (202, message)


async def test_a_resend_is_refused_where_it_cannot_arrive(
    postgres: Database, api: AsyncClient, endpoints: list[str], message: str
) -> None:
    await api.patch("/app/u/endpoint/one", json={"disabled": True})
    disabled = await api.post("/app/u/msg/ev/endpoint/one/resend")
    await postgres.pool.execute("UPDATE message SET payload = NULL WHERE id = $1", message)
    missing = await api.post(f"/app/u/msg/ev/endpoint/{endpoints[1]}/resend")

    assert (disabled.status_code, disabled.json()["code"]) == (400, "endpoint_disabled")
    assert (missing.status_code, missing.json()["code"]) == (400, "missing_payload")
    assert (await api.get("/app/u/msg/ev")).json()["payload"] == {"expired": True}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({}, (4, "canceled")),
        ({"expanded_statuses": True}, (4, "canceled")),
        ({"expanded_statuses": False}, (0, "success")),
    ],
)
async def test_what_was_canceled_is_success_to_clients_that_know_no_more(
    *,
    postgres: Database,
    api: AsyncClient,
    endpoints: list[str],
    message: str,
    query: dict[str, bool],
    told: tuple[int, str],
) -> None:
    await postgres.pool.execute(SETTLE, message, endpoints[0], 4)

    (found,) = (await api.get("/app/u/endpoint/one/msg", params=query)).json()["data"]

    assert (found["status"], found["statusText"]) == told


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("msg", ids.MESSAGE),
        ("attempt/endpoint/one", ids.ATTEMPT),
        ("attempt/msg/ev", ids.ATTEMPT),
        ("endpoint/one/msg", ids.MESSAGE),
    ],
)
async def test_a_list_by_time_reaches_ninety_days_from_now_or_from_where_it_is_read_on(
    *,
    app: FastAPI,
    postgres: Database,
    services: Services,
    api: AsyncClient,
    endpoints: list[str],
    message: str,
    path: str,
    prefix: str,
) -> None:
    await _attempted(postgres, message, endpoints[0], status=0, code=200)
    await postgres.pool.execute(SETTLE, message, endpoints[0], 0)
    now = datetime.now(UTC)

    async def found(days: int, **query: Any) -> int:
        app.state.services = replace(services, clock=HandClock(now + timedelta(days=days)))
        return len((await api.get(f"/app/u/{path}", params=query)).json()["data"])

    assert await found(89) == 1
    assert await found(91) == 0
    assert await found(91, after=(now - timedelta(days=1)).isoformat()) == 1
    assert await found(91, before=(now + timedelta(days=1)).isoformat()) == 1
    assert await found(91, iterator=new_id(prefix, at=now + timedelta(days=1))) == 1
    assert await found(200, iterator=new_id(prefix, at=now + timedelta(days=91))) == 0
    assert await found(-1) == 0
