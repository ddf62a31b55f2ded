"""Ten times what Relevo delivers comes to a broker, which keeps it: nothing is refused, lost or accepted twice.

RELEVO_TEST_BURST_SECONDS says how long the burst lasts; `--log-cli-level info` shows how it went.
"""

import asyncio
import json
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.brokers.together import Brokers, Ports, running_brokers
from service.domain import ids
from tests.benchmarks import processes
from tests.benchmarks.database import running_server
from tests.benchmarks.processes import Process
from tests.brokers.readers import Readers, open_readers
from tests.support.broker_feeds import NatsFeed, nats_feed
from tests.support.patience import patient

TIMES = 10
SECONDS = float(os.environ.get("RELEVO_TEST_BURST_SECONDS", "3"))
MEASURED = 5_000  # messages by which it is measured what Relevo delivers
WITHIN = patient(60 + SECONDS * TIMES * 2)
POLL_S = 0.5
KEPT = """
    SELECT count(*), count(DISTINCT event_id), count(DISTINCT number), min(number), max(number)
    FROM (SELECT event_id, (convert_from(payload, 'UTF8')::json ->> 'number')::int AS number FROM message) m
"""

_log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(WITHIN * 3 + 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A server that reads a stream, whose messages go to one endpoint."""

    brokers: Brokers
    feed: NatsFeed
    readers: Readers
    receiver: Process

    async def produce(self, *, first: int, count: int, rate: float) -> dict[str, float]:
        """Have so many messages come at that rate; the seconds it took, once the broker has all."""
        place = (self.brokers.nats, str(self.feed.broker["subject"]))
        numbers = (str(first), str(count), str(rate))
        producer = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.brokers.bursting", *place, *numbers, stdout=PIPE
        )
        try:
            output, _ = await producer.communicate()
        finally:
            if producer.returncode is None:
                producer.kill()
        assert producer.returncode == 0
        told: dict[str, float] = json.loads(output)
        return told

    async def until_delivered(self, count: int) -> None:
        """Wait until so many are accepted, acknowledged, sent and settled."""
        async with asyncio.timeout(WITHIN):
            while await self.feed.waiting():  # noqa: ASYNC110  # the server's doing
                await asyncio.sleep(POLL_S)
            while self.received()["messages"] < count:  # noqa: ASYNC110  # the same
                await asyncio.sleep(POLL_S)
            while (await self.readers.ask("SELECT EXISTS (SELECT FROM pending_delivery)"))[0][0]:  # noqa: ASYNC110  # the same
                await asyncio.sleep(POLL_S)

    def received(self) -> dict[str, int]:
        """The calls that came to the endpoint, and the messages that they were about."""
        told: dict[str, int] = self.receiver.ask("GET", "/count")
        return told


@pytest.fixture
def receiver() -> Iterator[Process]:
    """A receiver that counts."""
    with processes.listening("counter") as receiver:
        yield receiver


@pytest.fixture
def nats(directory: Path) -> Iterator[Brokers]:
    """JetStream alone: the other brokers would take the processor from what is measured."""
    home = directory / "broker"
    home.mkdir()
    with running_brokers(home, Ports.free(), only=["nats"]) as brokers:
        yield brokers


@pytest.fixture
def lasting() -> Iterator[str]:
    """The URL of a database that waits for its disk."""
    with running_server() as server, server.database("bursts") as used:
        yield used.url


@pytest.fixture
async def stand(nats: Brokers, lasting: str, receiver: Process, directory: Path) -> AsyncIterator[Stand]:
    """One server."""
    async with (
        open_readers(lasting, directory, count=1, RELEVO_ATTEMPT_TIMEOUT="30") as readers,
        nats_feed(nats.nats, "events") as feed,
    ):
        async with readers.client() as client:
            (await client.post("/app/shop/endpoint", json={"url": f"{receiver.url}/"})).raise_for_status()
        yield Stand(brokers=nats, feed=feed, readers=readers, receiver=receiver)


async def test_of_ten_times_what_is_delivered_nothing_is_refused_lost_or_accepted_twice(stand: Stand) -> None:
    await stand.produce(first=0, count=MEASURED, rate=MEASURED)
    source = await stand.readers.source(stand.feed, application="shop", eventType="invoice.paid")
    await stand.readers.until_accepted(MEASURED)
    await stand.until_delivered(MEASURED)
    capacity = await delivered_a_second(stand.readers)

    offered = int(TIMES * capacity * SECONDS)
    began = time.monotonic()
    told = await stand.produce(first=MEASURED, count=offered, rate=TIMES * capacity)
    waiting, total = await stand.feed.waiting(), MEASURED + offered
    await stand.until_delivered(total)
    seconds = time.monotonic() - began
    _log.info(
        "%.0f/s delivered; %s offered within %.1f s, %s of them waiting then; all delivered after %.0f s; %s calls",
        *(capacity, offered, told["seconds"], waiting, seconds, stand.received()["calls"] - MEASURED),
    )

    assert waiting > offered / 2, "it was no burst: most of it was taken while it came"
    assert tuple((await stand.readers.ask(KEPT))[0]) == (total, total, total, 0, total - 1)
    assert stand.readers.received("refused") == 0
    async with stand.readers.client() as client:
        assert (await client.get(f"/source/{source}/fault")).json()["data"] == []
    assert stand.received()["messages"] == total


async def delivered_a_second(readers: Readers) -> float:
    """How many attempts were made a second, between the first tenth and the last."""
    rows = await readers.ask("SELECT id FROM attempt ORDER BY id")
    first, last = len(rows) // 10, len(rows) * 9 // 10
    between = ids.time_of(rows[last]["id"]) - ids.time_of(rows[first]["id"])
    return (last - first) / between.total_seconds()
