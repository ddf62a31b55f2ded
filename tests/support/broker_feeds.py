"""Producers for each kind of source, with a stream, topic or queue of their own, and what came of the dead letters."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiormq
import nats
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from nats.js.api import StreamConfig
from pamqp.commands import Basic

from deploy.brokers import kinds
from deploy.brokers.together import Brokers
from tests.support.patience import patient

PARTITIONS = 6
AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """A message as a producer sends it. `id` is the message id of kinds that have one."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None


class Feed(Protocol):
    """Produces for a source that `broker` describes, as the API wants it, with `secret` among its credentials."""

    kind: str
    broker: dict[str, Any]
    secret: str

    async def produce(self, messages: Iterable[Produced]) -> None:
        """Send them, and wait until the broker has them."""

    async def buried(self, count: int) -> Sequence[Produced]:
        """The first dead letters, once there are so many."""
        ...


class NatsFeed:
    """A stream with the subjects `<name>.in` and `<name>.dead`."""

    kind = "nats"
    secret = kinds.PASSWORD

    def __init__(self, client: Any, url: str, name: str) -> None:
        self._stream = client.jetstream(publish_async_max_pending=AT_ONCE * 2)
        self._name = name
        self.broker = {
            "servers": [url],
            "stream": name,
            "consumer": "relevo",
            "subject": f"{name}.in",
            "deadLetter": f"{name}.dead",
            "username": kinds.USER,
            "password": kinds.PASSWORD,
        }

    async def produce(self, messages: Iterable[Produced]) -> None:
        for some in _parts(messages):
            answers = [
                await self._stream.publish_async(f"{self._name}.in", each.body, headers=dict(each.headers) or None)
                for each in some
            ]
            for answer in answers:
                await answer

    async def waiting(self) -> int:
        """How many messages the source has not acknowledged. Raises NotFoundError before it is read."""
        consumer = await self._stream.consumer_info(self._name, self.broker["consumer"])
        return int(consumer.num_pending + consumer.num_ack_pending)

    async def buried(self, count: int) -> Sequence[Produced]:
        letters = await self._stream.pull_subscribe(f"{self._name}.dead", stream=self._name)
        found: list[Produced] = []
        while len(found) < count:
            some = await letters.fetch(count - len(found), timeout=patient(20))
            found += [Produced(body=each.data, headers=_lower(each.headers or {})) for each in some]
        return found


class KafkaFeed:
    """A topic of some partitions, and one for its dead letters."""

    kind = "kafka"
    secret = kinds.PASSWORD

    def __init__(self, producer: Any, server: str, name: str) -> None:
        self._producer = producer
        self._server = server
        self._name = name
        self.broker = {
            "bootstrapServers": [server],
            "topic": name,
            "group": name,
            "deadLetter": f"{name}.dead",
            "saslMechanism": "PLAIN",
            "username": kinds.USER,
            "password": kinds.PASSWORD,
        }

    async def produce(self, messages: Iterable[Produced]) -> None:
        for some in _parts(messages):
            answers = []
            for each in some:
                headers = [(name, value.encode()) for name, value in each.headers.items()]
                answers.append(await self._producer.send(self._name, each.body, headers=headers))
            for answer in answers:
                await answer

    async def buried(self, count: int) -> Sequence[Produced]:
        letters = AIOKafkaConsumer(
            f"{self._name}.dead", bootstrap_servers=self._server, auto_offset_reset="earliest", **login()
        )
        await letters.start()
        try:
            records = [await anext(letters) for _ in range(count)]
        finally:
            await letters.stop()
        return [
            Produced(body=each.value, headers={name: value.decode() for name, value in each.headers})
            for each in records
        ]


class RabbitMqFeed:
    """A quorum queue, and one that an exchange gives its dead letters to."""

    kind = "rabbitmq"
    secret = kinds.PASSWORD

    def __init__(self, channel: Any, uri: str, name: str) -> None:
        self._channel = channel
        self._name = name
        self.broker = {"uri": uri, "queue": name, "deadLetter": f"{name}.dead"}

    async def produce(self, messages: Iterable[Produced]) -> None:
        for some in _parts(messages):
            for each in some[:-1]:
                await self._publish(each, wait=False)
            await self._publish(some[-1], wait=True)

    async def buried(self, count: int) -> Sequence[Produced]:
        found: list[Produced] = []
        while len(found) < count:
            each = await self._channel.basic_get(f"{self._name}.dead", no_ack=True)
            if isinstance(each.delivery, Basic.GetOk):
                headers = {name: str(value) for name, value in (each.header.properties.headers or {}).items()}
                found.append(Produced(body=bytes(each.body), headers=headers))
        return found

    async def _publish(self, each: Produced, *, wait: bool) -> None:
        properties = Basic.Properties(headers=dict(each.headers), message_id=each.id, delivery_mode=2)
        await self._channel.basic_publish(
            each.body, routing_key=self._name, properties=properties, mandatory=True, wait=wait
        )


def feed_of(kind: str, brokers: Brokers, name: str) -> AbstractAsyncContextManager[Feed]:
    """What produces for a source of that kind."""
    match kind:
        case "nats":
            return nats_feed(brokers.nats, name)
        case "kafka":
            return kafka_feed(brokers.kafka_sasl, name)
        case "rabbitmq":
            return rabbitmq_feed(brokers.rabbitmq, name)
        case _:
            raise ValueError(kind)


@asynccontextmanager
async def nats_feed(url: str, name: str) -> AsyncIterator[NatsFeed]:
    client = await nats.connect(url, user=kinds.USER, password=kinds.PASSWORD, error_cb=_nothing)
    try:
        subjects = [f"{name}.in", f"{name}.dead"]
        await client.jetstream().add_stream(StreamConfig(name=name, subjects=subjects))
        yield NatsFeed(client, url, name)
    finally:
        await client.close()


@asynccontextmanager
async def kafka_feed(server: str, name: str) -> AsyncIterator[KafkaFeed]:
    """`server` is the listener that asks for a password."""
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=server, **login())
        await admin.start()
        stack.push_async_callback(admin.close)
        topics = [NewTopic(name, PARTITIONS, 1), NewTopic(f"{name}.dead", 1, 1)]
        await admin.create_topics(topics)
        producer = AIOKafkaProducer(bootstrap_servers=server, acks="all", enable_idempotence=True, **login())
        await producer.start()
        stack.push_async_callback(producer.stop)
        yield KafkaFeed(producer, server, name)


@asynccontextmanager
async def rabbitmq_feed(uri: str, name: str) -> AsyncIterator[RabbitMqFeed]:
    connection = await aiormq.connect(uri)
    try:
        channel = await connection.channel(publisher_confirms=True)
        for queue in (name, f"{name}.dead"):
            await channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.exchange_declare(f"{name}.dead", exchange_type="fanout", durable=True)
        await channel.queue_bind(f"{name}.dead", f"{name}.dead")
        yield RabbitMqFeed(channel, uri, name)
    finally:
        await connection.close()


def login() -> dict[str, str]:
    """Of a client of Kafka."""
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": kinds.USER,
        "sasl_plain_password": kinds.PASSWORD,
    }


def _parts(messages: Iterable[Produced]) -> Iterable[list[Produced]]:
    part: list[Produced] = []
    for each in messages:
        part.append(each)
        if len(part) == AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def _nothing(_: Exception) -> None:
    """Errors are seen by whoever produces next."""
