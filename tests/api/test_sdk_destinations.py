"""Ordered destinations and polls by the official SDK, unchanged, as programs with and without asyncio use it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from svix.api import (
    ApplicationIn,
    EndpointSecretRotateIn,
    MessageIn,
    MessagePollerConsumerPollOptions,
    MessagePollerPollOptions,
    Svix,
    SvixAsync,
    SvixOptions,
)
from svix.exceptions import HTTPValidationError
from svix.models import (
    DestinationIn,
    DestinationPatch,
    DestinationStatus,
    DestinationStatusIn,
    FifoEndpointConfigIn,
    PollingEndpointConsumerSeekIn,
    PostgresConfigIn,
    PostgresConfigOut,
    PostgresConfigPatch,
    RabbitMqConfigIn,
    RabbitMqConfigOut,
    S3ConfigIn,
)

from service.domain.headers import MASK
from tests.api.conftest import TOKENS
from tests.support.factories import ORG
from tests.support.patience import patient
from tests.support.serving import serving

RABBITMQ = RabbitMqConfigIn(uri="amqp://user:hidden@127.0.0.1/%2F", routing_key="events")
POSTGRES = PostgresConfigIn(url="postgres://user@127.0.0.1/customers", password="hidden", table_name="events")
SQS = {"queueUrl": "https://sqs.example.com/1/a", "region": "eu-central-1"}
S3 = S3ConfigIn(bucket="events", access_key_id="AKIA", secret_access_key="hidden", region="eu-central-1")


@pytest.fixture
async def server(app: FastAPI) -> AsyncIterator[str]:
    """The address of the API."""
    async with serving(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def svix(server: str) -> AsyncIterator[SvixAsync]:
    """The SDK for asyncio."""
    sdk = SvixAsync(TOKENS.mint(ORG, now=datetime.now(UTC)), SvixOptions(server_url=server, timeout=patient(15)))
    yield sdk
    await sdk._httpx_client.aclose()


async def test_destinations(svix: SvixAsync) -> None:
    app = (await svix.application.create(ApplicationIn(name="a"))).id
    fifo = FifoEndpointConfigIn(url="http://127.0.0.1/", headers={"X-One": "1"}, key="customer.id")
    made = await svix.destination.create(app, DestinationIn(type="fifoEndpoint", config=fifo, uid="one", batch_size=5))
    disabled = await svix.destination.patch(
        app, "one", DestinationPatch(type="fifoEndpoint", config={}, status=DestinationStatusIn.DISABLED)
    )
    rotated = await svix.destination.rotate_secret(app, "one", EndpointSecretRotateIn())
    replaced = await svix.destination.upsert(app, "one", DestinationIn(type="fifoEndpoint", config=fifo, uid="one"))
    await svix.destination.delete(app, made.id)

    assert (made.status, made.batch_size, made.metadata) == (DestinationStatus.ENABLED, 5, {})
    assert disabled.status is replaced.status is DestinationStatus.DISABLED
    assert rotated.key.startswith("whsec_")
    assert (replaced.id, replaced.batch_size) == (made.id, 1)
    assert (await svix.destination.list(app)).data == []


async def test_configurations_are_read_and_changed_without_their_credentials(svix: SvixAsync) -> None:
    app = (await svix.application.create(ApplicationIn(name="a"))).id
    rabbitmq = await svix.destination.create(app, DestinationIn(type="rabbitMq", config=RABBITMQ))
    postgres = await svix.destination.create(app, DestinationIn(type="postgres", config=POSTGRES))
    await svix.destination.create(app, DestinationIn(type="amazonS3", config=S3))
    change = PostgresConfigPatch(table_name="others")
    changed = await svix.destination.patch(app, postgres.id, DestinationPatch(type="postgres", config=change))

    assert isinstance(rabbitmq.config, RabbitMqConfigOut)
    assert (rabbitmq.config.uri, rabbitmq.config.mandatory) == (f"amqp://user:{MASK}@127.0.0.1/%2F", True)
    assert isinstance(changed.config, PostgresConfigOut)
    assert (changed.config.table_name, changed.config.url) == ("others", POSTGRES.url)
    assert [found.type for found in (await svix.destination.list(app)).data] == ["amazonS3", "postgres", "rabbitMq"]
    with pytest.raises(HTTPValidationError):
        await svix.destination.create(app, DestinationIn(type="sqs", config=SQS))


async def test_a_list_is_read_whatever_types_there_are(svix: SvixAsync) -> None:
    app = (await svix.application.create(ApplicationIn(name="a"))).id
    await svix.destination.create(app, DestinationIn(type="pollingEndpoint", config={}, uid="known"))
    ours = {"type": "nats", "config": {"servers": ["nats://127.0.0.1"], "subject": "s"}, "uid": "ours"}
    made = await svix._httpx_client.post(
        f"{svix._client.base_url}/api/v1/app/{app}/destination",
        json=ours,
        headers={"authorization": f"Bearer {TOKENS.mint(ORG, now=datetime.now(UTC))}"},
    )

    assert made.status_code == 201
    assert [found.uid for found in (await svix.destination.list(app)).data] == ["known"]


async def test_polls(svix: SvixAsync) -> None:
    app = (await svix.application.create(ApplicationIn(name="a"))).id
    await svix.destination.create(app, DestinationIn(type="pollingEndpoint", config={}, uid="p"))
    sent = [
        (await svix.message.create(app, MessageIn(event_type="a.b", payload={"n": n}, tags=["t"]))).id for n in range(3)
    ]
    first = await svix.message.poller.poll(app, "p", MessagePollerPollOptions(limit=2))
    rest = await svix.message.poller.poll(app, "p", MessagePollerPollOptions(iterator=first.iterator))

    assert [message.id for message in (*first.data, *rest.data)] == sent
    assert (first.data[1].payload, first.data[1].tags, first.done, rest.done) == ({"n": 1}, ["t"], False, True)


async def test_a_program_without_asyncio_reads_as_a_consumer(server: str) -> None:
    read = await asyncio.to_thread(_read_as_a_consumer, server)

    assert read == [[0, 1], [2], [0, 1], [2]]


def _read_as_a_consumer(server: str) -> list[list[int]]:
    svix = Svix(TOKENS.mint(ORG, now=datetime.now(UTC)), SvixOptions(server_url=server, timeout=patient(15)))
    app = svix.application.create(ApplicationIn(name="a")).id
    svix.destination.create(app, DestinationIn(type="pollingEndpoint", config={}, uid="p"))
    for number in range(3):
        svix.message.create(app, MessageIn(event_type="a.b", payload={"n": number}))
    poller, limited = svix.message.poller, MessagePollerConsumerPollOptions(limit=2)
    pages = [poller.consumer_poll(app, "p", "one", limited) for _ in range(2)]
    seek = PollingEndpointConsumerSeekIn(after=datetime.now(UTC) - timedelta(hours=1))
    iterator = poller.consumer_seek(app, "p", "one", seek).iterator
    for _ in range(2):
        options = MessagePollerConsumerPollOptions(limit=2, iterator=iterator)
        pages.append(poller.consumer_poll(app, "p", "one", options))
        iterator = pages[-1].iterator
    svix._httpx_client.close()
    return [[message.payload["n"] for message in page.data] for page in pages]
