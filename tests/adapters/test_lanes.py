"""Messages of one destination side by side, by the value of a field of their payloads."""

import asyncio
import json
from datetime import timedelta

from service.domain.batches import Batch, BatchResult
from service.domain.ordered import OrderedDestination, OrderedStatus
from service.domain.outcomes import ErrorType, Exchange, Failed, Taken
from service.domain.sinks import FifoSink
from tests.support.factories import new_message
from tests.support.patience import patient
from tests.support.streams import Streams

KEYED = FifoSink(url="http://127.0.0.1:9/", key="customer.id")


class ByCustomer:
    """Takes what it is sent, but of some customers nothing; answers when it is let."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.sent: list[tuple[str, int]] = []
        self.at_once: dict[str, int] = {}
        self.most_at_once = 0
        self.let = asyncio.Event()
        self.let.set()
        self._changed = asyncio.Condition()

    async def send(self, sink: FifoSink, batch: Batch) -> BatchResult:
        (customer,) = {json.loads(message.payload)["customer"]["id"] for message in batch.messages}
        assert not self.at_once.get(customer), "one batch of a customer at a time"
        self.at_once[customer] = 1
        self.most_at_once = max(self.most_at_once, sum(self.at_once.values()))
        async with self._changed:
            self._changed.notify_all()
        await self.let.wait()
        self.at_once[customer] = 0
        exchange = Exchange(duration=timedelta())
        if customer in self.refused:
            return BatchResult(taken=0, outcome=Failed(exchange=exchange, error_type=ErrorType.FAULT))
        self.sent += [(customer, message.position) for message in batch.messages]
        async with self._changed:
            self._changed.notify_all()
        return BatchResult.whole(batch, Taken(exchange=exchange))

    async def until_sent(self, count: int) -> None:
        async with asyncio.timeout(patient(20)), self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count)

    async def until_at_once(self, count: int) -> None:
        async with asyncio.timeout(patient(20)), self._changed:
            await self._changed.wait_for(lambda: sum(self.at_once.values()) >= count)

    def of(self, customer: str) -> list[int]:
        return [position for name, position in self.sent if name == customer]


async def accept(streams: Streams, destination: OrderedDestination, *customers: str) -> None:
    await streams.accept(
        *(
            new_message(destination.app_id, payload=json.dumps({"customer": {"id": customer}}).encode())
            for customer in customers
        )
    )


async def test_customers_go_side_by_side_and_each_in_order(streams: Streams) -> None:
    destination = await streams.add("", sink=KEYED)
    sender = ByCustomer()
    sender.let.clear()
    await accept(streams, destination, *"abcabcabc")

    async with streams.reading(senders={FifoSink: sender}):
        await sender.until_at_once(3)
        sender.let.set()
        await accept(streams, destination, *"abc")
        await streams.until_at(destination, 12)

    assert sender.most_at_once == 3
    assert [sender.of(customer) for customer in "abc"] == [[1, 4, 7, 10], [2, 5, 8, 11], [3, 6, 9, 12]]


async def test_a_batch_has_messages_of_one_customer_alone(streams: Streams) -> None:
    destination = await streams.add("", sink=KEYED, batch_size=10)
    sender = ByCustomer()
    await accept(streams, destination, *"aabba")

    async with streams.reading(senders={FifoSink: sender}):
        await streams.until_at(destination, 5)

    assert (sender.of("a"), sender.of("b")) == ([1, 2, 5], [3, 4])


async def test_a_customer_that_fails_holds_only_itself_and_the_destination_says_so(streams: Streams) -> None:
    destination = await streams.add("", sink=KEYED)
    sender = ByCustomer("a")
    await accept(streams, destination, *"ababb")

    async with streams.reading(senders={FifoSink: sender}):
        await sender.until_sent(3)
        await accept(streams, destination, *"bac")
        await sender.until_sent(5)
        async with asyncio.timeout(patient(20)):
            while (found := await streams.now(destination)).shown_status is not OrderedStatus.RETRYING:  # noqa: ASYNC110  # the reader's doing
                await asyncio.sleep(0.02)
        assert found.position == 0
        sender.refused.clear()
        healed = await streams.until_at(destination, 8)

    assert sender.of("b") == [2, 4, 5, 6]
    assert sender.of("a") == [1, 3, 7]
    assert len(sender.sent) == 8
    assert healed.shown_status is OrderedStatus.ENABLED


async def test_what_is_done_beyond_the_position_is_not_sent_again_by_the_next_reader(streams: Streams) -> None:
    destination = await streams.add("", sink=KEYED)
    first, second = ByCustomer("a"), ByCustomer()
    await accept(streams, destination, *"abcab")

    async with streams.reading(senders={FifoSink: first}, schedule=[timedelta(hours=1)]):
        await first.until_sent(3)
    async with streams.reading(senders={FifoSink: second}):
        await streams.until_at(destination, 5)

    assert sorted(first.sent) == [("b", 2), ("b", 5), ("c", 3)]
    assert second.sent == [("a", 1), ("a", 4)]


async def test_a_customer_that_only_fails_for_too_long_disables_the_destination(streams: Streams) -> None:
    destination = await streams.add("", sink=KEYED)
    await accept(streams, destination, *"ab")

    async with streams.reading(senders={FifoSink: ByCustomer("a")}, disable_after=timedelta()):
        async with asyncio.timeout(patient(20)):
            while (found := await streams.now(destination)).status is not OrderedStatus.DISABLED:  # noqa: ASYNC110  # the reader's doing
                await asyncio.sleep(0.02)

    assert found.position == 0
