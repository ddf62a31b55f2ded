"""Sources of each kind, read by a real server from the real broker."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.brokers.together import Brokers
from service.domain.sources import SourceKind
from tests.brokers.readers import Readers, open_readers
from tests.support.broker_feeds import Feed, Produced, feed_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"relevo-application": "shop", "relevo-event-type": "invoice.paid"}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=list(SourceKind))
async def feed(request: pytest.FixtureRequest, brokers: Brokers, name: str) -> AsyncIterator[Feed]:
    """A stream, topic or queue of the test's own."""
    async with feed_of(request.param, brokers, name) as feed:
        yield feed


@pytest.fixture
async def readers(database: str, directory: Path) -> AsyncIterator[Readers]:
    """One server."""
    async with open_readers(database, directory, count=1) as readers:
        yield readers


async def test_what_a_producer_sends_is_accepted_and_what_is_no_message_goes_to_the_dead_letters(
    readers: Readers, feed: Feed
) -> None:
    payload = b'{ "n" : 1.0 }'
    envelope = {"application": "shop", "eventType": "a.b", "eventId": "e-2", "payload": {"n": 2}, "tags": ["t"]}
    source = await readers.source(feed)

    await feed.produce(
        [
            Produced(body=payload, headers=HEADERS | {"relevo-event-id": "e-1", "relevo-channels": "a,b"}),
            Produced(body=json.dumps(envelope).encode()),
            Produced(body=b"no JSON"),
            Produced(body=b"{}", headers=HEADERS | {"relevo-application": "nobody"}, id="m-1"),
            Produced(body=payload, headers=HEADERS | {"relevo-event-id": "e-1"}),
            Produced(body=b"{}", headers=HEADERS, id="m-2"),
        ]
    )

    await readers.until_accepted(3)
    faults = await readers.faults(source, count=2)
    letters = await feed.buried(2)
    messages = {row["event_id"]: row for row in await readers.messages()}
    assert messages.keys() >= {"e-1", "e-2"}
    assert bytes(messages["e-1"]["payload"]) == payload
    assert (messages["e-1"]["event_type"], messages["e-2"]["event_type"]) == ("invoice.paid", "a.b")
    assert next(event_id for event_id in messages if event_id not in {"e-1", "e-2"}).startswith(f"{source}-")
    assert sorted(fault["code"] for fault in faults) == ["not_found", "value_error"]
    assert sorted(letter.body for letter in letters) == [b"no JSON", b"{}"]
    assert all("relevo-refused" in letter.headers for letter in letters)


async def test_the_producers_trace_goes_on(readers: Readers, feed: Feed) -> None:
    await readers.source(feed)

    await feed.produce([Produced(body=b"{}", headers=HEADERS | {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})])

    await readers.until_accepted(1)
    (message,) = await readers.messages()
    assert message["traceparent"].startswith(f"00-{TRACE}-")


async def test_a_source_says_that_it_runs_and_what_waits(readers: Readers, feed: Feed) -> None:
    source = await readers.source(feed, application="shop", eventType="a.b")
    await feed.produce([Produced(body=b'{"eventType": "unread"}', id=f"m-{number}") for number in range(10)])
    await readers.until_accepted(10)

    state = await readers.state(source, lambda state: state["status"] == "running" and state["lag"] == 0)

    assert (state["readers"], state["reason"]) == (1, None)


async def test_a_wrong_password_is_told_and_shown_to_nobody(readers: Readers, feed: Feed) -> None:
    broker = {name: _changed(value, feed.secret) for name, value in feed.broker.items()}
    source = await readers.source(feed, **{feed.kind: broker})

    state = await readers.state(source, lambda state: state["status"] == "retrying")

    assert state["reason"]
    assert "no-password" not in f"{state}{readers.log()}"


async def test_what_is_not_there_is_told(readers: Readers, feed: Feed) -> None:
    place = {"nats": "stream", "kafka": "topic", "rabbitmq": "queue"}[feed.kind]
    source = await readers.source(feed, **{feed.kind: feed.broker | {place: "nowhere"}})

    state = await readers.state(source, lambda state: state["status"] == "retrying")

    assert state["reason"]
    assert feed.secret not in f"{state}{readers.log()}"


def _changed(value: Any, secret: str) -> Any:
    return value.replace(secret, "no-password") if isinstance(value, str) else value
