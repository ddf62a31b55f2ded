"""The suite of all senders of batches on real brokers, and what only each kind has."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from deploy.brokers.together import Brokers
from service.domain.outcomes import ErrorType, Failed, Taken
from service.domain.sinks import KafkaSink
from tests.contracts.test_batch_senders import A_HUNDRED, OnAProgram, failed, sent
from tests.support.batch_programs import (
    KafkaStand,
    NatsStand,
    RabbitMqStand,
    S3Stand,
    kafka_stand,
    nats_stand,
    rabbitmq_stand,
    s3_stand,
)
from tests.support.batch_stands import TRACEPARENT, a_batch, local_senders, passing_on
from tests.support.patience import unhurried


class TestRabbitMq(OnAProgram):
    @pytest.fixture
    async def stand(self, brokers: Brokers, name: str) -> AsyncIterator[RabbitMqStand]:
        async with rabbitmq_stand(brokers, name) as opened:
            yield opened

    async def test_messages_outlive_the_broker_and_say_what_they_are(self, stand: RabbitMqStand) -> None:
        await sent(stand.taking(), b"{}")

        (message,) = await stand.messages()
        told = message.header.properties
        assert (told.delivery_mode, told.message_id, told.message_type) == (2, "msg_1", "invoice.paid")
        assert told.content_type == "application/json"
        assert told.headers["relevo-event-id"] == "event-1"
        assert told.headers["traceparent"] == TRACEPARENT

    async def test_without_mandatory_a_message_without_a_queue_is_dropped(self, stand: RabbitMqStand) -> None:
        result = await sent(replace(stand.refusing(), mandatory=False), b"{}")

        assert isinstance(result.outcome, Taken)

    async def test_what_was_confirmed_before_a_refusal_counts(self, stand: RabbitMqStand) -> None:
        limits = {"x-max-length": 3, "x-overflow": "reject-publish"}
        name = f"{stand.name}-of-three"
        await stand.channel.queue_declare(name, arguments=limits)
        result = await sent(replace(stand.taking(), routing_key=name), *A_HUNDRED[:6])

        assert not isinstance(result.outcome, Taken)
        found = await replace(stand, name=name).arrived()
        assert 3 <= result.taken <= len(found)
        assert found[: result.taken] == [(f"msg_{n}", body) for n, body in enumerate(A_HUNDRED[: result.taken], 1)]


class TestNats(OnAProgram):
    @pytest.fixture
    async def stand(self, brokers: Brokers, name: str) -> AsyncIterator[NatsStand]:
        async with nats_stand(brokers, name) as opened:
            yield opened

    async def test_a_repeated_batch_adds_nothing(self, stand: NatsStand) -> None:
        for _ in range(2):
            result = await sent(stand.taking(), b"1", b"2")
            assert result.taken == 2

        (first, _) = await stand.messages()
        assert first.headers["traceparent"] == TRACEPARENT
        assert first.headers["relevo-event-type"] == "invoice.paid"

    async def test_what_was_acknowledged_before_a_message_that_is_too_large_counts(self, stand: NatsStand) -> None:
        result = await sent(stand.taking(), b"1", b"2", b"x" * 2 * 1024 * 1024, b"4")

        assert isinstance(result.outcome, Failed)
        assert (result.taken, result.outcome.error_type) == (2, ErrorType.REFUSED)
        assert [body for _, body in await stand.arrived()] == [b"1", b"2"]


class TestKafka(OnAProgram):
    @pytest.fixture
    async def stand(self, brokers: Brokers, name: str) -> AsyncIterator[KafkaStand]:
        async with kafka_stand(brokers, name) as opened:
            yield opened

    async def test_a_record_has_its_key_and_headers(self, stand: KafkaStand) -> None:
        await sent(replace(stand.taking(), key="order.id"), b'{"order": {"id": 7}}', b"{}")

        keyed, other = await stand.records()
        assert (keyed.key, other.key) == (b"7", b"app_1")
        assert dict(keyed.headers)["traceparent"] == TRACEPARENT.encode()

    async def test_a_broker_that_the_cluster_tells_of_is_not_called_where_nobody_may_be(
        self, brokers: Brokers, stand: KafkaStand
    ) -> None:
        _, _, port = brokers.kafka_sasl.partition(":")

        async with (
            passing_on(int(port), host="127.0.0.2") as passage,
            local_senders(seconds=unhurried(5), allowed="127.0.0.2/32") as senders,
        ):
            sink = replace(stand.taking(), bootstrap_servers=(f"127.0.0.2:{passage}",))
            result = await senders[KafkaSink].send(sink, a_batch(b"{}"))

        assert failed(result) is ErrorType.EGRESS
        assert await stand.arrived() == []


class TestS3(OnAProgram):
    @pytest.fixture
    async def stand(self, brokers: Brokers, name: str) -> AsyncIterator[S3Stand]:
        async with s3_stand(brokers, name) as opened:
            yield opened

    async def test_a_repeated_batch_is_the_same_object_byte_for_byte(self, stand: S3Stand) -> None:
        kept = []
        for _ in range(2):
            await sent(stand.taking(), b"1", b"2")
            kept.append(await stand.objects())

        assert kept[0] == kept[1]
        assert list(kept[0]) == ["app_1/dest_1/00000000000000000001-00000000000000000002.ndjson.gz"]
