"""Real programs of each kind of ordered destination, and what arrived in them."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import aiormq
import asyncpg
import httpx
import nats
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from deploy.brokers.together import Brokers
from service.adapters.destinations.s3.signature import signed
from service.domain.sinks import KafkaSink, NatsSink, PostgresSink, RabbitMqSink, S3Sink
from tests.support.batch_stands import SECRET
from tests.support.certificates import NO_AUTHORITIES
from tests.support.networked_postgres import Networked

_AT_ONCE = 500
_PASSWORD = "the right one"
_TABLE = """
CREATE TABLE {name} (
    id text PRIMARY KEY, app_id text, event_type text, payload {payload}, created_at timestamptz, arrived serial
)
"""


@dataclass(frozen=True, slots=True)
class PostgresStand:
    """A table in a database."""

    port: int
    table: str
    connection: Any

    def taking(self) -> PostgresSink:
        """See `BatchStand`."""
        url = f"postgresql://secretive@127.0.0.1:{self.port}/postgres?sslmode=disable"
        return PostgresSink(url=url, password=_PASSWORD, table_name=self.table)

    def refusing(self) -> PostgresSink:
        """See `BatchStand`."""
        return replace(self.taking(), table_name="public.there_is_none")

    def with_another_password(self) -> PostgresSink:
        """See `BatchStand`."""
        return replace(self.taking(), password=SECRET)

    def carried(self, payload: bytes) -> bytes:
        """See `BatchStand`."""
        return payload

    async def arrived(self) -> list[tuple[str, bytes]]:
        """See `BatchStand`."""
        rows = await self.connection.fetch(f"SELECT id, payload::text AS payload FROM {self.table} ORDER BY arrived")
        return [(row["id"], row["payload"].encode()) for row in rows]


@asynccontextmanager
async def postgres_stand(servers: Networked, *, payload: str = "json") -> AsyncIterator[PostgresStand]:
    """A table of its own, whose column `payload` has that type."""
    connection = await asyncpg.connect(host="127.0.0.1", port=servers.primary, user="postgres", database="postgres")
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = 'secretive'"):
            await connection.execute(f"CREATE ROLE secretive LOGIN SUPERUSER PASSWORD '{_PASSWORD}'")
        stand = PostgresStand(servers.primary, f"events_{token_hex(4)}", connection)
        await connection.execute(_TABLE.format(name=stand.table, payload=payload))
        yield stand
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class RabbitMqStand:
    """A queue."""

    brokers: Brokers
    name: str
    channel: Any

    def taking(self) -> RabbitMqSink:
        """See `BatchStand`."""
        return RabbitMqSink(uri=self.brokers.rabbitmq, routing_key=self.name)

    def refusing(self) -> RabbitMqSink:
        """See `BatchStand`."""
        return replace(self.taking(), routing_key=f"{self.name}-is-no-queue")

    def with_another_password(self) -> RabbitMqSink:
        """See `BatchStand`."""
        return replace(self.taking(), uri=self.brokers.rabbitmq.replace(self.brokers.password, SECRET))

    def carried(self, payload: bytes) -> bytes:
        """See `BatchStand`."""
        return payload

    async def arrived(self) -> list[tuple[str, bytes]]:
        """See `BatchStand`."""
        return [(message.header.properties.message_id, message.body) for message in await self.messages()]

    async def messages(self) -> list[Any]:
        """Those of the queue, taken out of it."""
        found = []
        while (message := await self.channel.basic_get(self.name, no_ack=True)).delivery.name == "Basic.GetOk":
            found.append(message)
        return found


@asynccontextmanager
async def rabbitmq_stand(brokers: Brokers, name: str) -> AsyncIterator[RabbitMqStand]:
    """A durable queue of its own."""
    connection = await aiormq.connect(brokers.rabbitmq)
    channel = await connection.channel()
    await channel.queue_declare(name, durable=True)
    try:
        yield RabbitMqStand(brokers, name, channel)
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class NatsStand:
    """A stream of JetStream."""

    brokers: Brokers
    name: str
    client: Any

    def taking(self) -> NatsSink:
        """See `BatchStand`."""
        return NatsSink(
            servers=(self.brokers.nats,),
            subject=f"{self.name}.events",
            username=self.brokers.user,
            password=self.brokers.password,
        )

    def refusing(self) -> NatsSink:
        """See `BatchStand`."""
        return replace(self.taking(), subject=f"no-stream-{self.name}")

    def with_another_password(self) -> NatsSink:
        """See `BatchStand`."""
        return replace(self.taking(), password=SECRET)

    def carried(self, payload: bytes) -> bytes:
        """See `BatchStand`."""
        return payload

    async def arrived(self) -> list[tuple[str, bytes]]:
        """See `BatchStand`."""
        return [(message.headers["Nats-Msg-Id"], message.data) for message in await self.messages()]

    async def messages(self, *, after: int = 0) -> list[Any]:
        """All of the stream, or without the first ones."""
        stream = self.client.jetstream()
        last = (await stream.stream_info(self.name)).state.last_seq
        read = ConsumerConfig(
            ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1
        )
        pulled, found = await stream.pull_subscribe(f"{self.name}.>", stream=self.name, config=read), list[Any]()
        while len(found) < last - after:
            found += await pulled.fetch(_AT_ONCE)
        return found


@asynccontextmanager
async def nats_stand(brokers: Brokers, name: str) -> AsyncIterator[NatsStand]:
    """A stream of its own."""
    client = await nats.connect(brokers.nats, user=brokers.user, password=brokers.password)
    await client.jetstream().add_stream(name=name, subjects=[f"{name}.>"])
    try:
        yield NatsStand(brokers, name, client)
    finally:
        await client.close()


@dataclass(frozen=True, slots=True)
class KafkaStand:
    """A topic of one partition."""

    brokers: Brokers
    name: str

    def taking(self) -> KafkaSink:
        """See `BatchStand`."""
        return KafkaSink(
            bootstrap_servers=(self.brokers.kafka_sasl,),
            topic=self.name,
            sasl_mechanism="PLAIN",
            username=self.brokers.user,
            password=self.brokers.password,
        )

    def refusing(self) -> KafkaSink:
        """See `BatchStand`."""
        return replace(self.taking(), topic=f"{self.name}-is-no-topic")

    def with_another_password(self) -> KafkaSink:
        """See `BatchStand`."""
        return replace(self.taking(), password=SECRET)

    def carried(self, payload: bytes) -> bytes:
        """See `BatchStand`."""
        return payload

    async def arrived(self) -> list[tuple[str, bytes]]:
        """See `BatchStand`."""
        return [(dict(record.headers)["relevo-message-id"].decode(), record.value) for record in await self.records()]

    async def records(self, *, after: int = 0) -> list[Any]:
        """All of the topic, or without the first ones."""
        place = TopicPartition(self.name, 0)
        async with AIOKafkaConsumer(bootstrap_servers=self.brokers.kafka) as consumer:
            consumer.assign([place])
            consumer.seek(place, after)
            end, found = (await consumer.end_offsets([place]))[place], list[Any]()
            while len(found) < end - after:
                found += (await consumer.getmany(timeout_ms=1000)).get(place, [])
            return found


@asynccontextmanager
async def kafka_stand(brokers: Brokers, name: str, *, partitions: int = 1) -> AsyncIterator[KafkaStand]:
    """A topic of its own, whose records have the broker's time."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers.kafka)
    await admin.start()
    stamped = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=stamped)])
    await admin.close()
    yield KafkaStand(brokers, name)


@dataclass(frozen=True, slots=True)
class S3Stand:
    """A bucket."""

    brokers: Brokers
    bucket: str

    def taking(self) -> S3Sink:
        """See `BatchStand`."""
        return S3Sink(
            bucket=self.bucket,
            region=self.brokers.region,
            access_key_id=self.brokers.user,
            secret_access_key=self.brokers.password,
            endpoint_url=self.brokers.s3,
        )

    def refusing(self) -> S3Sink:
        """See `BatchStand`."""
        return replace(self.taking(), bucket="there-is-none")

    def with_another_password(self) -> S3Sink:
        """See `BatchStand`."""
        return replace(self.taking(), secret_access_key=SECRET)

    def carried(self, payload: bytes) -> bytes:
        """See `BatchStand`: a line has no line breaks within."""
        return payload.replace(b"\n", b" ")

    async def arrived(self) -> list[tuple[str, bytes]]:
        """See `BatchStand`."""
        lines = [line for body in (await self.objects()).values() for line in gzip.decompress(body).splitlines()]
        return [(json.loads(line)["id"], line.partition(b',"payload":')[2][:-1]) for line in lines]

    async def objects(self) -> dict[str, bytes]:
        """The bytes of all objects by their keys, in order."""
        listed = await self.asked("GET", f"/{self.bucket}")
        keys = re.findall("<Key>(.*?)</Key>", listed.decode())
        return {key: await self.asked("GET", f"/{self.bucket}/{key}") for key in keys}

    async def asked(self, method: str, path: str) -> bytes:
        """The body of the answer, not decompressed."""
        address = self.brokers.s3
        headers = signed(
            method,
            host=address.removeprefix("http://"),
            path=path,
            headers={},
            body=b"",
            access_key_id=self.brokers.user,
            secret_access_key=self.brokers.password,
            region=self.brokers.region,
            at=datetime.now(UTC),
        )
        async with (
            httpx.AsyncClient(trust_env=False, verify=NO_AUTHORITIES) as client,
            client.stream(method, f"{address}{path}", headers=headers) as answer,
        ):
            assert answer.status_code == 200
            return b"".join([piece async for piece in answer.aiter_raw()])


@asynccontextmanager
async def s3_stand(brokers: Brokers, name: str) -> AsyncIterator[S3Stand]:
    """A bucket of its own."""
    stand = S3Stand(brokers, name)
    await stand.asked("PUT", f"/{name}")
    yield stand
