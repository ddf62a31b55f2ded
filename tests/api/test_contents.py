"""Expunging: what was said is gone, what is known of it stays."""

import pytest
from httpx import AsyncClient

from service.adapters.postgres.server.database import Database
from service.domain.deliveries import Status
from tests.support.operations import a_message, an_endpoint, finished, running_tasks, settled

pytestmark = pytest.mark.usefixtures("application")


async def payload(api: AsyncClient, message: str) -> dict[str, object]:
    return dict((await api.get(f"/app/u/msg/{message}")).json()["payload"])


async def test_an_expunged_message_is_there_without_its_payload_and_cannot_be_resent(api: AsyncClient) -> None:
    endpoint, message = await an_endpoint(api), await a_message(api)

    answer = await api.delete(f"/app/u/msg/{message}/content")

    assert answer.status_code == 204
    assert await payload(api, message) == {"expired": True}
    refused = await api.post(f"/app/u/msg/{message}/endpoint/{endpoint}/resend")
    assert (refused.status_code, refused.json()["code"]) == (400, "missing_payload")


async def test_an_expunged_attempt_says_so(api: AsyncClient, postgres: Database) -> None:
    await an_endpoint(api)
    message = await a_message(api)
    await settled(postgres, status=Status.SUCCESS)
    await postgres.pool.execute(
        """UPDATE attempt SET request_headers = '[["a", "b"]]', response_headers = '[["c", "d"]]'"""
    )
    attempt = (await api.get(f"/app/u/attempt/msg/{message}")).json()["data"][0]
    assert (attempt["requestHeaders"], attempt["responseHeaders"]) == ({"a": "b"}, {"c": "d"})

    answer = await api.delete(f"/app/u/msg/{message}/attempt/{attempt['id']}/content")

    assert answer.status_code == 204
    kept = (await api.get(f"/app/u/msg/{message}/attempt/{attempt['id']}")).json()
    assert kept == attempt | {"response": "EXPUNGED", "requestHeaders": None, "responseHeaders": None}


async def test_several_are_expunged_at_once_by_id_or_event_id(api: AsyncClient) -> None:
    by_id, by_event_id, untouched = await a_message(api), await a_message(api, eventId="e"), await a_message(api)

    answer = await api.post("/app/u/msg/bulk-expunge", json={"ids": [by_id, "e", "nobody"]})

    assert answer.json() == {"results": {by_id: "expunged", "e": "expunged", "nobody": "not-found"}}
    assert await payload(api, by_id) == await payload(api, by_event_id) == {"expired": True}
    assert await payload(api, untouched) == {"n": 1}


async def test_all_contents_of_an_application_are_expunged_and_counted(api: AsyncClient, postgres: Database) -> None:
    messages = [await a_message(api) for _ in range(5)]
    await api.post("/app", json={"name": "another", "uid": "other"})
    elsewhere = (await api.post("/app/other/msg", json={"eventType": "t", "payload": {"n": 1}})).json()["id"]

    started = await api.post("/app/u/msg/expunge-all-contents")
    async with running_tasks(postgres, size=2):
        task = await finished(api, started.json()["id"])

    assert (task["task"], task["data"]) == ("application.purge_content", {"messagesPurged": 5})
    assert [await payload(api, message) for message in messages] == [{"expired": True}] * 5
    assert (await api.get(f"/app/other/msg/{elsewhere}")).json()["payload"] == {"n": 1}
