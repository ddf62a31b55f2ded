"""The brokers of `relevo demo --brokers`: where they are, and a stream, a queue and a topic of the demo's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Publish = Callable[[bytes, Mapping[str, str]], Awaitable[None]]
# Waits for the next message, and returns its id.
Next = Callable[[], Awaitable[str]]


class BrokersUnknown(Exception):
    """The file with the brokers' addresses is missing, or nobody is there; the text says what runs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brokers:
    """The brokers' addresses, and whom NATS lets in. Kafka is the listener that asks for no password."""

    nats: str
    kafka: str
    rabbitmq: str
    user: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPlaces:
    """The demo's stream, queue and topic, all of the same name. `sinks` is the configuration of a destination there,
    and `arrivals` what arrived, both by the kind of destination."""

    name: str
    source: Mapping[str, Any]
    publish: Publish
    sinks: Mapping[str, Mapping[str, Any]]
    arrivals: Mapping[str, Next]


def read(addresses: Path) -> Brokers:
    """The brokers whose addresses are in the file. BrokersUnknown when there is none, or another one."""
    try:
        told = json.loads(addresses.read_text())
        return Brokers(**{name: told[name] for name in Brokers.__dataclass_fields__})
    except FileNotFoundError:
        raise BrokersUnknown(f"There is no file {addresses}: run `make brokers`, which writes it.") from None
    except (OSError, ValueError, KeyError, TypeError):
        fault = f"{addresses} is not the file that `make brokers` writes: name that one, or leave its name out."
        raise BrokersUnknown(fault) from None


@asynccontextmanager
async def open_places(brokers: Brokers, name: str) -> AsyncIterator[BrokerPlaces]:
    """Make them; they are gone at the end of the block. BrokersUnknown when no broker is there."""
    async with AsyncExitStack() as stack:
        publish = await stack.enter_async_context(_stream(brokers, name))
        queue = await stack.enter_async_context(_queue(brokers, name))
        topic = await stack.enter_async_context(_topic(brokers, name))
        login = {"username": brokers.user, "password": brokers.password}
        yield BrokerPlaces(
            name=name,
            source={"servers": [brokers.nats], "stream": name, **login},
            publish=publish,
            sinks={
                "rabbitMq": {"uri": brokers.rabbitmq, "routingKey": name},
                "kafka": {"bootstrapServers": [brokers.kafka], "topic": name},
            },
            arrivals={"rabbitMq": queue, "kafka": topic},
        )


@asynccontextmanager
async def _stream(brokers: Brokers, name: str) -> AsyncIterator[Publish]:
    import nats
    from nats.js.api import StreamConfig

    try:
        client = await nats.connect(
            brokers.nats, user=brokers.user, password=brokers.password, max_reconnect_attempts=1, error_cb=_said_below
        )
    except (OSError, nats.errors.Error) as error:
        raise BrokersUnknown(f"NATS does not answer at {brokers.nats} ({error}): run `make brokers`.") from None
    stream = client.jetstream()
    await stream.add_stream(StreamConfig(name=name, subjects=[name]))

    async def publish(body: bytes, headers: Mapping[str, str]) -> None:
        await stream.publish(name, body, headers=dict(headers))

    try:
        yield publish
    finally:
        await stream.delete_stream(name)
        await client.close()


@asynccontextmanager
async def _queue(brokers: Brokers, name: str) -> AsyncIterator[Next]:
    import aiormq

    arrived: asyncio.Queue[str] = asyncio.Queue()
    connection = await aiormq.connect(brokers.rabbitmq)
    channel = await connection.channel()

    async def take(message: Any) -> None:
        arrived.put_nowait(str(message.header.properties.message_id))

    try:
        # Deleted with its only consumer.
        await channel.queue_declare(name, durable=True, auto_delete=True)
        await channel.basic_consume(name, take, no_ack=True)
        yield arrived.get
    finally:
        await connection.close()


@asynccontextmanager
async def _topic(brokers: Brokers, name: str) -> AsyncIterator[Next]:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=brokers.kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
        async with AIOKafkaConsumer(bootstrap_servers=brokers.kafka) as consumer:
            place = TopicPartition(name, 0)
            consumer.assign([place])
            await consumer.seek_to_beginning(place)

            async def take() -> str:
                headers: dict[str, bytes] = dict((await anext(consumer)).headers)
                return headers["relevo-message-id"].decode()

            yield take
    finally:
        await admin.delete_topics([name])
        await admin.close()


async def _said_below(_: Exception) -> None:
    """The client's own errors: whoever uses it gets them too."""
