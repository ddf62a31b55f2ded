"""Clusters that are configured as deploy/brokers/cluster/ says keep what was accepted when a node is killed."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy.brokers.processes import Broker
from service.domain.broker_messages import APPLICATION, EVENT_ID, EVENT_TYPE
from service.domain.sinks import SinkKind
from service.domain.sources import SourceKind
from service.settings.delivery import Delivery
from tests.brokers.clusters import FILES, opened, running
from tests.brokers.readers import Readers, open_readers
from tests.support.broker_feeds import Produced
from tests.support.patience import patient

MESSAGES = 3_000
WITHIN = patient(60)
TO = {SourceKind.NATS: SinkKind.NATS, SourceKind.KAFKA: SinkKind.KAFKA, SourceKind.RABBITMQ: SinkKind.RABBITMQ}
BEHIND = "SELECT count(*) FROM destination d JOIN stream s USING (app_id) WHERE d.position < s.head"

_log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(WITHIN * 3 + 300)


@pytest.fixture(params=list(SourceKind))
def kind(request: pytest.FixtureRequest) -> SourceKind:
    return SourceKind(request.param)


@pytest.fixture
def nodes(kind: SourceKind, directory: Path) -> Iterator[Sequence[Broker]]:
    """The three of them, started from the files."""
    home = directory / "cluster"
    home.mkdir()
    with running(kind, home) as started:
        yield started


async def test_everything_accepted_arrives_in_order_when_a_node_is_killed(
    kind: SourceKind, nodes: Sequence[Broker], database: str, directory: Path
) -> None:
    async with open_readers(database, directory, count=1) as readers, opened(kind, nodes) as cluster:
        await cluster.feed.produce(_message(number) for number in range(MESSAGES))
        await _destination(readers, {"type": TO[kind].value, "config": dict(cluster.sink), "batchSize": 50})
        node = await cluster.busiest()
        await readers.source(cluster.feed, **{kind.value: dict(cluster.broker)})
        await readers.until_accepted(MESSAGES // 4)
        killed = time.monotonic()
        await asyncio.to_thread(node.kill)

        await readers.until_accepted(MESSAGES, within=WITHIN)
        await _caught_up(readers)
        seconds = time.monotonic() - killed
        order = [row[0] for row in await readers.ask("SELECT message_id FROM stream_message ORDER BY position")]
        accepted = [row["event_id"] for row in await readers.messages()]
        arrived = await cluster.arrived()

    failed = sum(line["outcome"] != "sent" for line in readers.processes[0].events("batch.sent"))
    repeats = len(arrived) - MESSAGES
    _log.info("%s: all there %.1f s later, %s failed batches, %s repeats", kind, seconds, failed, repeats)
    assert sorted(accepted) == sorted(f"e-{number}" for number in range(MESSAGES))
    assert list(dict.fromkeys(arrived)) == order


def test_a_batch_that_is_sent_again_after_the_longest_wait_is_known_to_the_stream() -> None:
    stream = json.loads((FILES / "nats-stream.json").read_text())

    assert stream["duplicate_window"] / 1e9 > max(Delivery().retry_schedule)


async def _destination(readers: Readers, body: dict[str, object]) -> None:
    async with readers.client() as client:
        answer = await client.post("/app/shop/destination", json=body)
        assert answer.status_code == 201, answer.text


async def _caught_up(readers: Readers) -> None:
    async with asyncio.timeout(WITHIN):
        while (await readers.ask(BEHIND))[0][0]:  # noqa: ASYNC110  # another process's doing
            await asyncio.sleep(0.1)


def _message(number: int) -> Produced:
    return Produced(body=b"{}", headers={APPLICATION: "shop", EVENT_TYPE: "invoice.paid", EVENT_ID: f"e-{number}"})
