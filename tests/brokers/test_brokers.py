"""The brokers answer as what they are, and one that was killed has what it had acknowledged."""

import socket
from pathlib import Path

import aiormq
import httpx
import nats
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.brokers import kinds
from deploy.brokers.processes import free_ports
from deploy.brokers.together import Brokers
from tests.support.certificates import NO_AUTHORITIES


async def test_nats_keeps_messages_for_who_knows_the_password(brokers: Brokers, name: str) -> None:
    client = await nats.connect(brokers.nats, user=brokers.user, password=brokers.password)
    await client.jetstream().add_stream(name=name, subjects=[f"{name}.*"])

    acknowledged = await client.jetstream().publish(f"{name}.a", b"first")

    assert (acknowledged.stream, acknowledged.seq) == (name, 1)
    await client.close()


async def test_kafka_appends_with_and_without_a_password(brokers: Brokers, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()
    password = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": brokers.user,
        "sasl_plain_password": brokers.password,
    }

    offsets = []
    for address, options in ((brokers.kafka, {}), (brokers.kafka_sasl, password)):
        async with AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True, **options) as producer:
            offsets.append((await producer.send_and_wait(name, b"a record")).offset)

    assert offsets == [0, 1]


async def test_rabbitmq_confirms(brokers: Brokers, name: str) -> None:
    connection = await aiormq.connect(brokers.rabbitmq)
    channel = await connection.channel()
    await channel.queue_declare(name, durable=True)

    confirmed = await channel.basic_publish(b"first", routing_key=name)

    assert confirmed is not None
    assert confirmed.name == "Basic.Ack"
    await connection.close()


async def test_the_bucket_is_closed_to_who_signs_nothing(brokers: Brokers) -> None:
    async with httpx.AsyncClient(verify=NO_AUTHORITIES, trust_env=False) as client:
        refused = await client.put(f"{brokers.s3}/{brokers.bucket}/object", content=b"x")

    assert refused.status_code == 403


async def test_a_broker_that_was_killed_has_what_it_acknowledged(tmp_path: Path) -> None:
    broker = kinds.nats(tmp_path, port=free_ports(1)[0])
    login = {"servers": f"nats://127.0.0.1:{broker.port}", "user": kinds.USER, "password": kinds.PASSWORD}
    broker.start()
    try:
        before = await nats.connect(**login)
        await before.jetstream().add_stream(name="kept", subjects=["kept"])
        await before.jetstream().publish("kept", b"first")
        broker.kill()
        await before.close()
        broker.start()

        after = await nats.connect(**login)
        assert (await after.jetstream().stream_info("kept")).state.messages == 1
        await after.close()
    finally:
        broker.kill()


def test_nothing_of_rabbitmq_outlives_it(tmp_path: Path) -> None:
    ports = free_ports(3)
    broker = kinds.rabbitmq(tmp_path, port=ports[0], distribution=ports[1], names=ports[2])
    broker.start()

    broker.kill()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port))
