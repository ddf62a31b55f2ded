"""Resending many: what recover, replay-missing and bulk-replay owe, and to whom."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from service.adapters.machine.clock import new_id
from service.adapters.postgres.server.database import Database
from service.domain import ids
from service.domain.deliveries import Status
from tests.support.operations import SINCE, a_message, an_endpoint, finished, owed, running_tasks, settled

pytestmark = pytest.mark.usefixtures("application")

# Another one of the same delivery, and one to an endpoint that has nothing to do with it.
LATER_ATTEMPTS = """
INSERT INTO attempt SELECT (jsonb_populate_record(a, later)).* FROM attempt a, (VALUES
    (jsonb_build_object('id', 'atmpt_~1', 'trace_id', repeat('b', 32), 'span_id', repeat('b', 16))),
    (jsonb_build_object('id', 'atmpt_~2', 'trace_id', repeat('c', 32), 'span_id', repeat('c', 16),
                        'endpoint_id', 'ep_another'))
) AS made (later)
"""


def days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


async def replayed(
    api: AsyncClient, postgres: Database, endpoint: str, what: str, *, size: int = 2, **said: Any
) -> dict[str, Any]:
    """The task after it was done, in small batches."""
    started = await api.post(f"/app/u/endpoint/{endpoint}/{what}", json={"since": days_ago(1)} | said)
    assert started.status_code == 202, started.text
    async with running_tasks(postgres, size=size):
        return await finished(api, started.json()["id"])


async def test_recover_owes_every_failure_once_and_no_success(api: AsyncClient, postgres: Database) -> None:
    endpoint = await an_endpoint(api)
    failed = [await a_message(api) for _ in range(5)]
    await settled(postgres, status=Status.FAIL)
    [await a_message(api) for _ in range(3)]
    await settled(postgres, status=Status.SUCCESS)

    task = await replayed(api, postgres, endpoint, "recover")

    assert task | {"updatedAt": ""} == {
        "id": task["id"],
        "status": "finished",
        "task": "endpoint.recover",
        "updatedAt": "",
        "data": {"messagesSent": 5},
    }
    assert await owed(postgres) == [(message, task["id"]) for message in failed]


async def test_what_is_replayed_knows_the_latest_attempt_before_it_to_link_its_trace_to(
    api: AsyncClient, postgres: Database
) -> None:
    endpoint = await an_endpoint(api)
    await a_message(api)
    await settled(postgres, status=Status.FAIL)
    await postgres.pool.execute("UPDATE attempt SET trace_id = repeat('a', 32), span_id = repeat('a', 16)")
    await postgres.pool.execute(LATER_ATTEMPTS)

    await replayed(api, postgres, endpoint, "bulk-replay")

    previous = await postgres.pool.fetchval("SELECT previous FROM pending_delivery")
    assert previous == f"00-{'b' * 32}-{'b' * 16}-01"


async def test_recover_sends_at_once_what_waits_for_its_retry_and_leaves_the_retry(
    api: AsyncClient, postgres: Database
) -> None:
    endpoint = await an_endpoint(api)
    waiting, fresh = await a_message(api), await a_message(api)
    await postgres.pool.execute("UPDATE pending_delivery SET attempts = 1 WHERE message_id = $1", waiting)

    task = await replayed(api, postgres, endpoint, "recover")

    assert await owed(postgres) == [(waiting, ""), (waiting, task["id"]), (fresh, "")]


@pytest.mark.parametrize("what", ["recover", "replay-missing"])
async def test_whoever_asks_for_it_together_has_each_message_owed_once(
    api: AsyncClient, postgres: Database, what: str
) -> None:
    messages = [await a_message(api) for _ in range(20)]
    endpoint = await an_endpoint(api)
    if what == "recover":
        messages = [await a_message(api) for _ in range(20)]
        await settled(postgres, status=Status.FAIL)
    path = f"/app/u/endpoint/{endpoint}/{what}"

    answers = await asyncio.gather(*(api.post(path, json={"since": days_ago(1)}) for _ in range(4)))
    async with AsyncExitStack() as runners:
        for _ in answers:
            await runners.enter_async_context(running_tasks(postgres, size=3))
        tasks = [await finished(api, answer.json()["id"]) for answer in answers]

    assert [message for message, _ in await owed(postgres)] == messages
    assert sum(task["data"]["messagesSent"] for task in tasks) == len(messages)


async def test_what_was_tried_since_it_was_asked_for_is_not_recovered_once_more(
    api: AsyncClient, postgres: Database
) -> None:
    endpoint, message = await an_endpoint(api), await a_message(api)
    await settled(postgres, status=Status.FAIL)
    path = f"/app/u/endpoint/{endpoint}/recover"
    asked = [(await api.post(path, json={"since": days_ago(1)})).json()["id"] for _ in range(2)]
    await postgres.pool.execute("UPDATE background_task SET due_at = 'infinity' WHERE id = $1", asked[1])
    async with running_tasks(postgres):
        await finished(api, asked[0])
    # The first one's attempt has failed as well by the time that the second is done.
    await postgres.pool.execute("DELETE FROM pending_delivery")
    await postgres.pool.execute(
        "INSERT INTO attempt SELECT (jsonb_populate_record(a, jsonb_build_object('id', $1::text))).* FROM attempt a",
        new_id(ids.ATTEMPT),
    )
    await postgres.pool.execute("UPDATE background_task SET due_at = now()")

    async with running_tasks(postgres):
        again = await finished(api, asked[1])
    later = await replayed(api, postgres, endpoint, "recover")

    assert again["data"] == {"messagesSent": 0}
    assert await owed(postgres) == [(message, later["id"])]


async def test_replay_missing_owes_what_the_endpoint_wants_and_was_never_sent(
    api: AsyncClient, postgres: Database
) -> None:
    missed, unwanted = await a_message(api), await a_message(api, eventType="other")
    await api.post("/event-type", json={"name": "t", "description": ""})
    endpoint = await an_endpoint(api, eventTypes=["t"])
    sent = await a_message(api)
    await settled(postgres, status=Status.FAIL)
    waiting = await a_message(api)

    task = await replayed(api, postgres, endpoint, "replay-missing", size=1)

    assert task["data"] == {"messagesSent": 1}
    assert await owed(postgres) == [(missed, task["id"]), (waiting, "")]
    assert {sent, unwanted}.isdisjoint(message for message, _ in await owed(postgres))


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 3),
        ({"status": 0}, 2),
        ({"status": 2}, 1),
        ({"eventTypes": ["other"]}, 1),
        ({"channel": "c"}, 1),
        ({"tag": "g"}, 1),
        ({"statusCodeClass": 500}, 1),
        ({"statusCodeClass": 200, "status": 0}, 2),
        ({"since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}, 0),
    ],
)
async def test_bulk_replay_owes_what_fits_every_filter(
    api: AsyncClient, postgres: Database, wanted: dict[str, Any], count: int
) -> None:
    endpoint = await an_endpoint(api)
    await a_message(api, eventType="other")
    await a_message(api, channels=["c"], tags=["g"])
    await settled(postgres, status=Status.SUCCESS)
    await a_message(api)
    await settled(postgres, status=Status.FAIL, code=503)

    task = await replayed(api, postgres, endpoint, "bulk-replay", **wanted)

    assert task["data"] == {"messagesSent": count}


async def test_what_lost_its_payload_is_not_replayed(api: AsyncClient, postgres: Database) -> None:
    endpoint, message = await an_endpoint(api), await a_message(api)
    await settled(postgres, status=Status.FAIL)
    await api.delete(f"/app/u/msg/{message}/content")

    task = await replayed(api, postgres, endpoint, "recover")

    assert task["data"] == {"messagesSent": 0}


@pytest.mark.parametrize("what", ["recover", "replay-missing", "bulk-replay"])
async def test_nothing_is_replayed_to_a_disabled_endpoint(api: AsyncClient, what: str) -> None:
    endpoint = await an_endpoint(api, disabled=True)

    answer = await api.post(f"/app/u/endpoint/{endpoint}/{what}", json={"since": days_ago(1)})

    assert (answer.status_code, answer.json()["code"]) == (400, "endpoint_disabled")


async def test_a_task_whose_endpoint_is_disabled_meanwhile_fails_and_says_so(
    api: AsyncClient, postgres: Database
) -> None:
    endpoint = await an_endpoint(api)
    started = await api.post(f"/app/u/endpoint/{endpoint}/recover", json={"since": days_ago(1)})
    await api.patch(f"/app/u/endpoint/{endpoint}", json={"disabled": True})

    async with running_tasks(postgres):
        task = await finished(api, started.json()["id"])

    assert task["status"] == "failed"
    assert task["data"]["error"]["code"] == "endpoint_disabled"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"since": "yesterday"},
        {"since": SINCE},  # more than two weeks
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
    ],
)
async def test_a_span_that_makes_no_sense_is_refused(api: AsyncClient, said: dict[str, str]) -> None:
    endpoint = await an_endpoint(api)

    answer = await api.post(f"/app/u/endpoint/{endpoint}/recover", json=said)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "since"]


async def test_asking_twice_with_one_key_starts_one_task(api: AsyncClient) -> None:
    endpoint, key = await an_endpoint(api), {"idempotency-key": "k"}
    body = {"since": days_ago(1)}

    first = await api.post(f"/app/u/endpoint/{endpoint}/recover", json=body, headers=key)
    again = await api.post(f"/app/u/endpoint/{endpoint}/recover", json=body, headers=key)

    assert first.json() == again.json()
    assert len((await api.get("/background-task")).json()["data"]) == 1
