"""What is decided about a kind of ordered destination."""

import pytest

from service.domain.sinks import FifoSink, KafkaSink, NatsSink, PollingSink, PostgresSink, RabbitMqSink, Sink, key_of

SECRET = "marker-of-a-secret"


@pytest.mark.parametrize(
    ("sink", "key"),
    [
        (FifoSink(url="https://example.com/"), None),
        (FifoSink(url="https://example.com/", key="customer.id"), "customer.id"),
        # A record's key is the broker's affair: the line stays one.
        (KafkaSink(bootstrap_servers=("kafka:9092",), topic="events", key="customer.id"), None),
        (PollingSink(), None),
    ],
)
def test_messages_go_side_by_side_only_at_a_receiver_with_a_key(sink: Sink, key: str | None) -> None:
    assert key_of(sink) == key


@pytest.mark.parametrize(
    "sink",
    [
        FifoSink(url="https://example.com/", headers={"Authorization": SECRET}),
        RabbitMqSink(uri=f"amqp://relevo:{SECRET}@rabbit/%2F", routing_key="events"),
        PostgresSink(url="postgres://relevo@db/events", table_name="events", password=SECRET),
        KafkaSink(bootstrap_servers=("kafka:9092",), topic="events", username="relevo", password=SECRET),
        NatsSink(servers=("nats://nats:4222",), subject="events", password=SECRET, token=SECRET),
    ],
    ids=lambda sink: sink.kind,
)
def test_a_sink_in_a_message_shows_no_credential(sink: Sink) -> None:
    assert SECRET not in repr(sink)
