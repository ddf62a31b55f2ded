"""Reads a Kafka topic in a consumer group, which shares its partitions between all processes.

Offsets are committed by us, up to the first message that is not done. Before a partition is given to another process,
what was fetched of it has some seconds to be done; the rest is fetched again there, and known by its event id.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from service.adapters.destinations.kafka.network import Network
from service.adapters.destinations.kafka.sender import security
from service.adapters.destinations.network import Dialer, explain
from service.adapters.sources.losses import asking, lost_by
from service.adapters.sources.partitions import Partitions
from service.application.ports.sources import BrokerLost
from service.domain.broker_messages import BrokerMessage
from service.domain.sinks import KafkaSink
from service.domain.sources import KafkaOrigin, Source

CLIENT = "relevo"
FETCH_TIMEOUT_MS = 1000
REQUEST_TIMEOUT_MS = 20_000
REVOKE_TIMEOUT_S = 5.0  # for what is under way, before a partition goes to another process
SESSION_TIMEOUT_MS, HEARTBEAT_INTERVAL_MS = 10_000, 3_000
REFUSED = "relevo-refused"
# The group was arranged anew meanwhile: whoever has the partition now fetches the messages again.
_REARRANGED = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class KafkaConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # the client has no types
    """Fulfils `ports.SourceConsumer`. The group tells it of rebalances."""

    def __init__(self, consumer: Any, producer: Any | None, *, source: Source, origin: KafkaOrigin) -> None:
        self._consumer = consumer
        self._producer = producer
        self._source = source
        self._origin = origin
        self._partitions = Partitions()
        self._leaving: set[int] = set()

    async def fetch(self, most: int) -> list[BrokerMessage]:
        """Wait for messages, for about a second."""
        with asking(KafkaError):
            found = await self._consumer.getmany(timeout_ms=FETCH_TIMEOUT_MS, max_records=most)
        messages = []
        for place, records in found.items():
            # What is fetched of a partition while it is given up is fetched again by whoever gets it.
            for record in records if place.partition not in self._leaving else ():
                self._partitions.fetched(place.partition, record.offset)
                messages.append(_message(record, self._source))
        return messages

    async def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        """Commit up to the first message that is not done."""
        for message in messages:
            record = _record(message)
            self._partitions.done(record.partition, record.offset)
        await self._commit()

    async def hold(self, messages: Sequence[BrokerMessage]) -> None:
        """Nothing: partitions stay here while the group hears of us."""

    async def bury(self, message: BrokerMessage, reason: str) -> None:
        """Write it to the dead letters' topic, with the key and the headers that it has."""
        if self._producer is None or self._origin.dead_letter is None:
            return
        record = _record(message)
        headers = [*record.headers, (REFUSED, reason.encode())]
        with lost_by(KafkaError):
            await self._producer.send_and_wait(
                self._origin.dead_letter, value=record.value, key=record.key, headers=headers
            )

    async def lag(self) -> int | None:
        """What of this process's partitions is not done."""
        places = self._consumer.assignment()
        if not places:
            return 0
        with asking(KafkaError), suppress(IllegalStateError):
            ends = await self._consumer.end_offsets(places)
            begun = [await self._consumer.committed(place) or 0 for place in ends]
            return int(sum(ends.values()) - sum(begun))
        return None

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Finish what is under way, within some seconds."""
        numbers = {place.partition for place in revoked}
        self._leaving |= numbers
        await self._partitions.until_done(numbers, within=REVOKE_TIMEOUT_S)
        self._partitions.give_up(numbers)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Take their messages from now on."""
        self._leaving -= {place.partition for place in assigned}

    async def _commit(self) -> None:
        offsets = self._partitions.committable()
        if not offsets:
            return
        places = {TopicPartition(self._origin.topic, number): offset for number, offset in offsets.items()}
        with lost_by(KafkaError), suppress(*_REARRANGED):
            await self._consumer.commit(places)
        self._partitions.committed()


class KafkaConsumers:
    """Opens consumers. Fulfils `ports.OpenConsumer`."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    @asynccontextmanager
    async def __call__(self, source: Source, origin: KafkaOrigin) -> AsyncIterator[KafkaConsumer]:
        """A member of the group while the block lasts. Raises BrokerLost."""
        async with AsyncExitStack() as stack:
            producer = await self._producer(origin, stack) if origin.dead_letter else None
            consumer = AIOKafkaConsumer(
                bootstrap_servers=list(origin.bootstrap_servers),
                client_id=CLIENT,
                group_id=origin.group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                session_timeout_ms=SESSION_TIMEOUT_MS,
                heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
            )
            network = self._network(consumer._client, origin)  # noqa: SLF001  # no public way to it
            opened = KafkaConsumer(consumer, producer, source=source, origin=origin)
            consumer.subscribe([origin.topic], listener=opened)
            await _started(consumer, network, stack)
            yield opened

    async def _producer(self, origin: KafkaOrigin, stack: AsyncExitStack) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=list(origin.bootstrap_servers),
            client_id=CLIENT,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        await _started(producer, self._network(producer.client, origin), stack)
        return producer

    def _network(self, client: Any, origin: KafkaOrigin) -> Network:
        place = KafkaSink(
            bootstrap_servers=origin.bootstrap_servers,
            topic=origin.topic,
            tls=origin.tls,
            ssl_root_cert=origin.ssl_root_cert,
            sasl_mechanism=origin.sasl_mechanism,
            username=origin.username,
            password=origin.password,
        )
        return Network(client, self._dialer, client_id=CLIENT, request_timeout_ms=REQUEST_TIMEOUT_MS, **security(place))


async def _started(member: Any, network: Network, stack: AsyncExitStack) -> None:
    """Start a consumer or producer, which the stack stops. Raises BrokerLost, with what failed about its network."""
    stack.push_async_callback(_stopped, member)
    try:
        with lost_by(KafkaError, AssertionError, ValueError):
            await member.start()
    except BrokerLost:
        behind = None if network.failure is None else explain(network.failure)
        if behind is None:
            raise
        raise BrokerLost(behind[1]) from network.failure


async def _stopped(member: Any) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        await member.stop()


def _message(record: Any, source: Source) -> BrokerMessage:
    # With its time: a topic that is made anew counts from 0 again.
    place = f"{record.partition}-{record.offset}-{record.timestamp}"
    return BrokerMessage(
        body=record.value or b"",
        headers={name.lower(): _text(value) for name, value in reversed(record.headers)},
        position=f"{record.topic}-{place}",
        event_id=f"{source.id}-{place}",
        receipt=record,
    )


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")


def _record(message: BrokerMessage) -> Any:
    if not isinstance(message.receipt, ConsumerRecord):
        raise TypeError("the message came of another kind of broker")
    return message.receipt
