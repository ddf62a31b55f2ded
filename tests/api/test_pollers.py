"""Polled destinations: every message once in order by iterators, at least once for a consumer that breaks."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient, Response

from service.adapters.postgres.server.database import Database
from service.domain.ids import ApplicationId
from service.domain.limits import MAX_CONSUMERS
from service.domain.positions import iterator_of
from tests.api.test_destination_places import send
from tests.api.test_destinations import FIFO, app_id, create, event_type, place

POLLED = {"type": "pollingEndpoint", "config": {}}
PATH = "/app/u/poller/d"
CONSUMER = f"{PATH}/consumer/one"

pytestmark = pytest.mark.usefixtures("application")


async def poll(api: AsyncClient, path: str = PATH, **query: Any) -> dict[str, Any]:
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def ids_of(page: dict[str, Any]) -> list[str]:
    return [message["id"] for message in page["data"]]


async def sent(api: AsyncClient, count: int, **message: Any) -> list[str]:
    return [await send(api, **message) for _ in range(count)]


async def test_iterators_lead_through_everything_that_was_accepted_since_and_on(api: AsyncClient) -> None:
    await create(api, uid="an.earlier.one")
    await sent(api, 1)
    await create(api, **POLLED)
    first = await poll(api)
    messages = await sent(api, 5)

    pages = [await poll(api, limit=2)]
    while not pages[-1]["done"]:
        pages.append(await poll(api, limit=2, iterator=pages[-1]["iterator"]))
    later = await sent(api, 1)
    pages.append(await poll(api, iterator=pages[-1]["iterator"]))
    last = await poll(api, iterator=pages[-1]["iterator"])

    assert (first["data"], first["done"]) == ([], True)
    assert [found for page in pages for found in ids_of(page)] == messages + later
    assert (last["data"], last["done"], last["iterator"]) == ([], True, pages[-1]["iterator"])
    assert ids_of(await poll(api, iterator=first["iterator"])) == messages + later


async def test_a_message_is_answered_as_it_was_accepted_its_payload_byte_for_byte(api: AsyncClient) -> None:
    await create(api, **POLLED)
    payload = b'{"n": 1.10,  "t":"\\u00e9" }'
    body = b'{"eventType": "invoice.paid", "eventId": "e", "channels": ["c"], "tags": ["t"], "payload": %s}' % payload
    await api.post("/app/u/msg", content=body, headers={"content-type": "application/json"})
    raw = {"rawPayload": "<invoice/>", "headers": {"content-type": "application/xml"}}
    await send(api, transformationsParams=raw)

    answer = await api.get(PATH)

    messages = [(await api.get(f"/app/u/msg/{found['id']}")).json() for found in answer.json()["data"]]
    assert payload in answer.content
    assert answer.json()["data"] == [
        messages[0] | {"headers": None},
        messages[1] | {"headers": {"content-type": "application/xml"}, "rawPayload": "<invoice/>"},
    ]


async def test_only_what_the_destination_wants_is_read_and_a_poll_narrows_it(api: AsyncClient) -> None:
    await event_type(api)
    await create(api, **POLLED, eventTypes=["invoice.paid"], channels=["a", "b"])
    other = await send(api, eventType="other", channels=["a"])
    none = await send(api)
    in_a = await send(api, channels=["a"])
    in_b = await send(api, channels=["b", "c"])

    found = {
        "all": ids_of(await poll(api)),
        "type": ids_of(await poll(api, event_type="invoice.paid")),
        "other type": ids_of(await poll(api, event_type="other")),
        "its channel": ids_of(await poll(api, channel="b")),
        "another channel": ids_of(await poll(api, channel="c")),
    }

    assert {other, none}.isdisjoint(found["all"])
    assert found == {
        "all": [in_a, in_b],
        "type": [in_a, in_b],
        "other type": [],
        "its channel": [in_b],
        "another channel": [in_b],
    }


async def test_a_poll_may_begin_at_a_time(api: AsyncClient, postgres: Database) -> None:
    await create(api, **FIFO, uid="an.earlier.one")
    messages = await sent(api, 4)
    await create(api, **POLLED)
    await postgres.pool.execute("UPDATE stream_message SET created_at = now() - (10 - position) * interval '1 hour'")
    at = (datetime.now(UTC) - timedelta(hours=7, minutes=30)).isoformat()

    found = await poll(api, after=at)
    on = await poll(api, after=at, iterator=found["iterator"])

    assert ids_of(await poll(api)) == []
    assert ids_of(found) == messages[2:]
    assert ids_of(on) == []


async def test_a_payload_that_is_not_kept_any_more_is_passed_over(api: AsyncClient) -> None:
    await create(api, **POLLED)
    messages = await sent(api, 3)
    await api.delete(f"/app/u/msg/{messages[1]}/content")

    pages = [await poll(api, limit=2)]
    pages.append(await poll(api, limit=2, iterator=pages[0]["iterator"]))

    assert [found for page in pages for found in ids_of(page)] == [messages[0], messages[2]]


async def test_a_page_of_large_messages_is_bounded_and_none_is_left_out(api: AsyncClient) -> None:
    await create(api, **POLLED)
    messages = await sent(api, 5, payload={"text": "x" * 1_900_000})

    pages = [await poll(api)]
    while not pages[-1]["done"]:
        pages.append(await poll(api, iterator=pages[-1]["iterator"]))

    assert [found for page in pages for found in ids_of(page)] == messages
    assert max(len(ids_of(page)) for page in pages) == 3


@pytest.mark.parametrize("path", [PATH, CONSUMER])
@pytest.mark.parametrize("iterator", ["nonsense", "AAAA", iterator_of(ApplicationId("app_of_others"), 1)])
async def test_an_iterator_that_is_none_of_the_applications_is_refused(
    api: AsyncClient, path: str, iterator: str
) -> None:
    await create(api, **POLLED)

    assert place(await api.get(path, params={"iterator": iterator})) == ["query", "iterator"]


@pytest.mark.parametrize("path", [PATH, CONSUMER])
async def test_a_poll_answers_at_most_as_many_as_a_list(api: AsyncClient, path: str) -> None:
    await create(api, **POLLED)

    assert place(await api.get(path, params={"limit": 251})) == ["query", "limit"]
    assert (await api.get(path, params={"limit": 0})).status_code in {400, 422}


@pytest.mark.parametrize("status", ["paused", "disabled"])
async def test_what_is_not_enabled_is_not_polled_and_goes_on_where_it_stood(api: AsyncClient, status: str) -> None:
    await create(api, **POLLED)
    messages = await sent(api, 2)
    await poll(api, CONSUMER, limit=1)

    await api.patch("/app/u/destination/d", json={"status": status})
    refused = [await api.get(PATH), await api.get(CONSUMER), await seek(api, datetime.now(UTC))]
    await api.patch("/app/u/destination/d", json={"status": "enabled"})

    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(400, "destination_not_enabled")}
    assert ids_of(await poll(api, CONSUMER)) == messages[1:]


async def test_what_is_not_polled_is_not_there_for_polls(api: AsyncClient) -> None:
    await create(api)

    answers = [await api.get(PATH), await api.get(CONSUMER), await seek(api, datetime.now(UTC))]

    assert [answer.status_code for answer in answers] == [404] * 3


async def test_a_consumer_reads_on_by_polling_again_and_each_for_itself(api: AsyncClient) -> None:
    await create(api, **POLLED)
    messages = await sent(api, 5)

    one = [ids_of(await poll(api, CONSUMER, limit=2)) for _ in range(4)]
    another = ids_of(await poll(api, f"{PATH}/consumer/another"))

    assert one == [messages[:2], messages[2:4], messages[4:], []]
    assert another == messages


async def test_who_acknowledges_by_iterators_gets_again_what_it_has_not(api: AsyncClient) -> None:
    await create(api, **POLLED)
    messages = await sent(api, 6)

    first = await poll(api, CONSUMER, limit=2)
    second = await poll(api, CONSUMER, limit=2, iterator=first["iterator"])
    broken = [ids_of(await poll(api, CONSUMER, limit=2)) for _ in range(3)]
    third = await poll(api, CONSUMER, limit=2, iterator=second["iterator"])

    assert [ids_of(first), ids_of(second), ids_of(third)] == [messages[:2], messages[2:4], messages[4:]]
    assert broken == [messages[2:4]] * 3


async def test_a_poll_that_the_sdk_repeats_is_answered_the_same(api: AsyncClient) -> None:
    await create(api, **POLLED)
    messages = await sent(api, 4)
    await poll(api, CONSUMER, limit=2)

    lost = await api.get(CONSUMER, params={"limit": 2})
    again = await api.get(CONSUMER, params={"limit": 2}, headers={"svix-retry-count": "1"})

    assert ids_of(lost.json()) == messages[2:]
    assert again.content == lost.content


async def test_polls_of_one_consumer_at_once_share_what_there_is(api: AsyncClient) -> None:
    await create(api, **POLLED)
    messages = await sent(api, 12)

    pages = await asyncio.gather(*(poll(api, CONSUMER, limit=3) for _ in range(6)))

    assert sorted(found for page in pages for found in ids_of(page)) == sorted(messages)


async def test_a_consumer_is_set_to_a_time(api: AsyncClient, postgres: Database) -> None:
    await create(api, **POLLED)
    messages = await sent(api, 4)
    await postgres.pool.execute("UPDATE stream_message SET created_at = now() - (10 - position) * interval '1 hour'")
    await poll(api, CONSUMER)

    answer = await seek(api, datetime.now(UTC) - timedelta(hours=7, minutes=30))
    began = [ids_of(await poll(api, CONSUMER)) for _ in range(2)]
    new = await seek(api, datetime.now(UTC) - timedelta(hours=8, minutes=30), consumer="new")

    assert answer.status_code == 200
    assert began == [messages[2:]] * 2  # it knows its iterator, so it acknowledges by it
    assert ids_of(await poll(api, CONSUMER, iterator=answer.json()["iterator"])) == messages[2:]
    assert ids_of(await poll(api, f"{PATH}/consumer/new", iterator=new.json()["iterator"])) == messages[1:]
    assert answer.json()["iterator"] == iterator_of(await app_id(api), 2)


@pytest.mark.parametrize("name", ["a b", "x" * 257, "\u00e9"])
async def test_a_consumer_has_a_name(api: AsyncClient, name: str) -> None:
    await create(api, **POLLED)

    assert place(await api.get(f"{PATH}/consumer/{name}")) == ["path", "consumer_id"]


async def seek(api: AsyncClient, at: datetime, *, consumer: str = "one") -> Response:
    return await api.post(f"{PATH}/consumer/{consumer}/seek", json={"after": at.isoformat()})


async def test_a_polling_endpoint_has_so_many_consumers_and_no_more(api: AsyncClient, postgres: Database) -> None:
    await create(api, **POLLED)
    await postgres.pool.execute(
        "INSERT INTO destination_consumer (destination_id, consumer_id, position, updated_at)"
        " SELECT id, 'c' || n, 0, now() FROM destination, generate_series(1, $1) AS n",
        MAX_CONSUMERS - 1,
    )

    answers = [await api.get(f"{PATH}/consumer/{name}") for name in ("the.last", "one.more", "the.last")]

    assert [answer.status_code for answer in answers] == [200, 400, 200]
    assert "at most 1,000 consumers" in answers[1].json()["detail"]
