"""Ordered destinations read through a real PostgreSQL and called over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest

from service.adapters.postgres.repositories.unit_of_work import open_unit_of_work
from service.application.ports.ordered import Done
from service.domain.batches import Batch, BatchResult
from service.domain.ordered import OrderedDestination, OrderedStatus
from service.domain.outcomes import ErrorType, Exchange, Failed, Taken
from service.domain.sinks import FifoSink
from tests.support.factories import SECRET, VAULT, new_message
from tests.support.patience import patient
from tests.support.receiver import Receiver, running_receiver
from tests.support.streams import Streams


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


def messages(destination: OrderedDestination, count: int, **changed: Any) -> list[Any]:
    return [new_message(destination.app_id, **changed) for _ in range(count)]


async def test_messages_arrive_one_by_one_in_the_order_of_their_commits(streams: Streams, receiver: Receiver) -> None:
    destination = await streams.add(f"{receiver.url}/ok")

    async with streams.reading():
        for size in (1, 7, 2):
            await streams.accept(*messages(destination, size, payload=b'{"n":   1.10}'))
        await receiver.wait_for(10)
        await streams.until_at(destination, 10)

    assert [call.header("webhook-id") for call in receiver.calls] == await streams.ids(destination.app_id)
    assert {call.body for call in receiver.calls} == {b'{"n":   1.10}'}
    for call in receiver.calls:
        call.verify(SECRET.text)


async def test_a_batch_is_an_array_with_payloads_byte_for_byte(streams: Streams, receiver: Receiver) -> None:
    destination = await streams.add(f"{receiver.url}/ok", batch_size=2)
    plain = new_message(destination.app_id, payload=b'{"n":   1.10}')
    full = new_message(
        destination.app_id, event_id="e", channels=("c",), tags=("t",), payload=b"\xff", content_type="image/x"
    )
    await streams.accept(plain, full, new_message(destination.app_id))

    async with streams.reading():
        first, second = await receiver.wait_for(2)

    assert b'"payload":{"n":   1.10}}' in first.body
    one, two = json.loads(first.body)
    assert (one["id"], one["eventType"], one["eventId"]) == (plain.id, "invoice.paid", None)
    assert (two["id"], two["eventId"], two["channels"], two["tags"]) == (full.id, "e", ["c"], ["t"])
    assert (two["contentType"], two["payloadBase64"], "payload" in two) == ("image/x", "/w==", False)
    assert first.header("webhook-id") == f"{plain.id}-2"
    assert len(json.loads(second.body)) == 1
    first.verify(SECRET.text)


async def test_a_batch_that_fails_holds_the_line_until_it_is_taken(streams: Streams, receiver: Receiver) -> None:
    destination = await streams.add(f"{receiver.url}/fail/3")
    await streams.accept(*messages(destination, 3))

    async with streams.reading():
        await streams.until_at(destination, 3)

    first, second, third = await streams.ids(destination.app_id)
    received = [call.header("webhook-id") for call in receiver.calls]
    assert received == [first, first, first, first, second, third]
    assert (await streams.now(destination)).attempts == 0


async def test_a_destination_that_fails_is_retrying_and_says_why_and_until_when(
    streams: Streams, receiver: Receiver
) -> None:
    destination = await streams.add(f"{receiver.url}/status/500")
    await streams.accept(*messages(destination, 1))

    async with streams.reading(schedule=[timedelta(hours=1)]):
        await receiver.wait_for(1)
        found = await _until(streams, destination, OrderedStatus.RETRYING)

    assert (found.position, found.attempts, found.failure_reason) == (0, 1, "The receiver answered 500.")
    assert found.next_retry_at is not None
    assert timedelta(minutes=45) < found.next_retry_at - datetime.now(UTC) < timedelta(minutes=75)


@pytest.mark.parametrize(
    ("path", "disable_after"),
    [pytest.param("gone", timedelta(days=5), id="gone"), pytest.param("status/500", timedelta(), id="failing")],
)
async def test_a_disabled_destination_goes_on_where_it_stood_when_it_is_enabled(
    streams: Streams, receiver: Receiver, path: str, disable_after: timedelta
) -> None:
    destination = await streams.add(f"{receiver.url}/{path}")
    await streams.accept(*messages(destination, 2))

    async with streams.reading(disable_after=disable_after):
        disabled = await _until(streams, destination, OrderedStatus.DISABLED)
        await streams.accept(*messages(destination, 1))
        await streams.change(
            destination,
            sink=FifoSink(url=f"{receiver.url}/ok"),
            status=OrderedStatus.ENABLED,
            due_at=datetime.now(UTC),
        )
        await receiver.wait_for(3, "/ok")

    assert (disabled.position, disabled.next_retry_at) == (0, None)
    assert disabled.failure_reason is not None
    received = [call.header("webhook-id") for call in receiver.at("/ok")]
    assert received == await streams.ids(destination.app_id)


async def test_a_paused_destination_is_sent_nothing_and_misses_nothing(streams: Streams, receiver: Receiver) -> None:
    paused = await streams.add(f"{receiver.url}/ok/paused", status=OrderedStatus.PAUSED)
    other = await streams.add(f"{receiver.url}/ok")

    async with streams.reading():
        await streams.accept(*messages(paused, 2), *messages(other, 2))
        await streams.until_at(other, 2)
        assert receiver.at("/ok/paused") == []
        await streams.change(paused, status=OrderedStatus.ENABLED)
        await receiver.wait_for(2, "/ok/paused")

    assert [call.header("webhook-id") for call in receiver.at("/ok/paused")] == await streams.ids(paused.app_id)


async def test_what_is_not_wanted_is_passed(streams: Streams, receiver: Receiver) -> None:
    destination = await streams.add(f"{receiver.url}/ok", event_types=("a.b",), channels=("c",))
    wanted = new_message(destination.app_id, event_type="a.b", channels=("c", "d"))
    others = [
        new_message(destination.app_id, event_type="a.b"),
        new_message(destination.app_id, channels=("c",)),
        new_message(destination.app_id),
    ]

    async with streams.reading():
        await streams.accept(others[0], wanted, *others[1:])
        await streams.until_at(destination, 4)

    assert [call.header("webhook-id") for call in receiver.calls] == [wanted.id]


async def test_a_batch_waits_for_more_as_long_as_it_may(streams: Streams, receiver: Receiver) -> None:
    patiently = await streams.add(f"{receiver.url}/ok/full", batch_size=3, max_wait_secs=300)
    briefly = await streams.add(f"{receiver.url}/ok/brief", batch_size=3, max_wait_secs=1)

    async with streams.reading():
        await streams.accept(*messages(patiently, 2), *messages(briefly, 2))
        (brief,) = await receiver.wait_for(1, "/ok/brief")
        assert receiver.at("/ok/full") == []
        await streams.accept(*messages(patiently, 1))
        (full,) = await receiver.wait_for(1, "/ok/full")

    assert [len(json.loads(call.body)) for call in (brief, full)] == [2, 3]


async def test_a_drain_does_not_wait_for_a_batch_to_be_complete_and_gives_the_lease_back(
    streams: Streams, receiver: Receiver
) -> None:
    destination = await streams.add(f"{receiver.url}/ok", batch_size=3, max_wait_secs=300)
    await streams.accept(*messages(destination, 2))

    async with streams.reading():
        await _until_leased(streams, destination)

    assert receiver.calls == []
    (claim,) = await streams.queue().claim(limit=1)
    assert (claim.destination.id, claim.destination.position) == (destination.id, 0)


async def test_a_drain_lets_the_batch_in_flight_end(streams: Streams, receiver: Receiver) -> None:
    destination = await streams.add(f"{receiver.url}/slow/0.3")
    await streams.accept(*messages(destination, 5))

    async with streams.reading():
        await receiver.wait_for(1)

    assert len(receiver.calls) == 1
    assert (await streams.now(destination)).position == 1
    assert len(await streams.queue().claim(limit=1)) == 1


async def test_a_drain_gives_back_what_does_not_end_in_time(streams: Streams, receiver: Receiver) -> None:
    destination = await streams.add(f"{receiver.url}/silence")
    await streams.accept(*messages(destination, 1))

    async with streams.reading(drain=timedelta()):
        await receiver.wait_for(1)

    (claim,) = await streams.queue().claim(limit=1)
    assert (claim.destination.id, claim.destination.position) == (destination.id, 0)


async def test_two_readers_share_destinations_and_each_gets_its_messages_once(
    streams: Streams, receiver: Receiver
) -> None:
    destinations = [await streams.add(f"{receiver.url}/ok/{n}") for n in range(6)]

    async with streams.reading(places=2, turn=timedelta(milliseconds=50)), streams.reading(places=2):
        for _ in range(10):
            await streams.accept(*chain.from_iterable(messages(each, 5) for each in destinations))
        for each in destinations:
            await streams.until_at(each, 50)

    for n, each in enumerate(destinations):
        received = [call.header("webhook-id") for call in receiver.at(f"/ok/{n}")]
        assert received == await streams.ids(each.app_id)


async def test_a_lease_that_has_ended_is_taken_over_and_the_late_reader_changes_nothing(streams: Streams) -> None:
    destination = await streams.add("http://127.0.0.1:9/")
    await streams.accept(*messages(destination, 3))
    late, next_one = streams.queue(lease=timedelta()), streams.queue()

    (old,) = await late.claim(limit=1)
    (new,) = await next_one.claim(limit=1)

    assert await next_one.advance(new, Done(position=2))
    assert not await late.advance(old, Done(position=1))
    await late.release(old, Done(position=1))
    assert (await streams.now(destination)).position == 2
    assert await streams.queue().claim(limit=1) == []


async def test_a_destination_that_is_moved_back_gets_everything_again(streams: Streams, receiver: Receiver) -> None:
    destination = await streams.add(f"{receiver.url}/ok")

    async with streams.reading():
        await streams.accept(*messages(destination, 3))
        await streams.until_at(destination, 3)
        await streams.move(destination, 1)
        await receiver.wait_for(5)

    first, second, third = await streams.ids(destination.app_id)
    assert [call.header("webhook-id") for call in receiver.calls] == [first, second, third, second, third]


async def test_messages_without_payload_are_passed(streams: Streams, receiver: Receiver) -> None:
    destination = await streams.add(f"{receiver.url}/ok")
    old, new = messages(destination, 2)
    await streams.accept(old, new)
    await streams.database.pool.execute("UPDATE message SET payload = NULL WHERE id = $1", old.id)

    async with streams.reading():
        await streams.until_at(destination, 2)

    assert [call.header("webhook-id") for call in receiver.calls] == [new.id]


async def test_what_was_taken_of_a_batch_is_not_sent_again(streams: Streams) -> None:
    destination = await streams.add("http://127.0.0.1:9/", batch_size=4)
    sender = TakesHalf()
    await streams.accept(*messages(destination, 4))

    async with streams.reading(senders={FifoSink: sender}):
        await streams.until_at(destination, 4)

    assert [[message.position for message in batch.messages] for batch in sender.batches] == [[1, 2, 3, 4], [3, 4]]


async def test_a_fault_of_ours_holds_the_line_and_is_tried_again(streams: Streams) -> None:
    destination = await streams.add("http://127.0.0.1:9/")
    sender = BreaksOnce()
    await streams.accept(*messages(destination, 2))

    async with streams.reading(senders={FifoSink: sender}):
        await streams.until_at(destination, 2)

    assert sender.positions == [1, 1, 2]


async def test_streams_that_nobody_is_behind_are_at_rest_until_something_comes(
    streams: Streams, receiver: Receiver
) -> None:
    destination = await streams.add(f"{receiver.url}/ok")

    async with streams.reading():
        await streams.accept(*messages(destination, 1))
        await streams.until_at(destination, 1)
        await _until_at_rest(streams)
        await streams.accept(*messages(destination, 1))
        await streams.until_at(destination, 2)
        await _until_at_rest(streams)
        await streams.move(destination, 0)
        await receiver.wait_for(4)


async def test_a_stream_is_not_set_at_rest_by_who_has_not_seen_the_last_message(streams: Streams) -> None:
    destination = await streams.add("http://127.0.0.1:9/")
    await streams.accept(*messages(destination, 1))
    (claim,) = await streams.queue().claim(limit=1)

    await asyncio.gather(
        *(streams.accept(*messages(destination, 1)) for _ in range(20)),
        *(streams.queue().claim(limit=1) for _ in range(20)),
    )
    await streams.queue().release(claim, Done(position=20))

    assert len(await streams.queue().claim(limit=1)) == 1


async def test_a_stream_is_not_set_at_rest_by_who_has_not_seen_that_a_destination_was_enabled(streams: Streams) -> None:
    paused = await streams.add("http://127.0.0.1:9/", status=OrderedStatus.PAUSED)
    await streams.accept(*messages(paused, 1))

    async with open_unit_of_work(streams.database.sessions, VAULT, streams.wakeups) as work:
        await work.destinations.replace(replace(paused, status=OrderedStatus.ENABLED))
        assert await streams.queue().claim(limit=1) == [], "it is not committed yet"

    assert len(await streams.queue().claim(limit=1)) == 1


class TakesHalf:
    """Takes two of the first batch, then everything."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def send(self, sink: FifoSink, batch: Batch) -> BatchResult:
        self.batches.append(batch)
        exchange = Exchange(duration=timedelta())
        if len(self.batches) == 1:
            return BatchResult(taken=2, outcome=Failed(exchange=exchange, error_type=ErrorType.FAULT))
        return BatchResult.whole(batch, Taken(exchange=exchange))


class BreaksOnce:
    """Raises what no sender should."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    async def send(self, sink: FifoSink, batch: Batch) -> BatchResult:
        self.positions.append(batch.messages[0].position)
        if len(self.positions) == 1:
            raise ZeroDivisionError
        return BatchResult.whole(batch, Taken(exchange=Exchange(duration=timedelta())))


async def _until(streams: Streams, destination: OrderedDestination, status: OrderedStatus) -> OrderedDestination:
    async with asyncio.timeout(patient(20)):
        while (found := await streams.now(destination)).shown_status is not status:  # noqa: ASYNC110  # the reader's doing
            await asyncio.sleep(0.02)
    return found


async def _until_leased(streams: Streams, destination: OrderedDestination) -> None:
    async with asyncio.timeout(patient(20)):
        while not await streams.database.pool.fetchval("SELECT lease IS NOT NULL FROM destination"):  # noqa: ASYNC110  # the reader's doing
            await asyncio.sleep(0.02)


async def _until_at_rest(streams: Streams) -> None:
    async with asyncio.timeout(patient(20)):
        while await streams.database.pool.fetchval("SELECT active FROM stream"):  # noqa: ASYNC110  # the reader's doing
            await asyncio.sleep(0.02)
