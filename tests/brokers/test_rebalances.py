"""Processes that share a source come and go under load, and none of them is killed: each message is accepted once."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.brokers.together import Brokers
from service.domain.broker_messages import APPLICATION, EVENT_ID, EVENT_TYPE
from service.domain.sources import SourceKind
from tests.brokers.readers import WITHIN, Readers, open_readers
from tests.support.broker_feeds import Feed, Produced, feed_of

AT_ONCE = 500
MOST_WAITING = 3_000  # messages at the broker, so that every process has work
SHARE = 2_000  # messages that each has to accept before the next event

_log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(WITHIN * 4)


@pytest.fixture(params=list(SourceKind))
async def feed(request: pytest.FixtureRequest, brokers: Brokers, name: str) -> AsyncIterator[Feed]:
    """A stream, topic of several partitions, or queue of the test's own."""
    async with feed_of(request.param, brokers, name) as feed:
        yield feed


async def test_a_process_that_joins_late_and_one_that_leaves_take_their_share_and_nothing_is_lost_or_doubled(
    feed: Feed, database: str, directory: Path
) -> None:
    enough = asyncio.Event()
    async with open_readers(database, directory, count=3, late=1) as readers:
        source = await readers.source(feed)
        async with asyncio.TaskGroup() as group:
            producing = group.create_task(_produce(feed, readers, enough))
            for number in (0, 1):
                await readers.until_received(number, SHARE)

            await readers.processes[2].start()
            await readers.until_received(2, SHARE)
            status = await readers.processes[1].stop()
            for number in (0, 2):
                await readers.until_received(number, readers.received("accepted", number) + SHARE)
            enough.set()
        produced = producing.result()
        await readers.until_accepted(produced)
        await readers.state(source, lambda state: state["status"] == "running" and state["lag"] == 0)

        accepted = [row["event_id"] for row in await readers.messages()]
        _log.info("%s: %s accepted, %s came again", feed.kind, len(accepted), readers.received("repeated"))
        assert sorted(accepted) == sorted(f"e-{number}" for number in range(produced))
        assert status == 0


async def _produce(feed: Feed, readers: Readers, enough: asyncio.Event) -> int:
    """Produce, faster than is read but never far ahead, until it is enough. Returns how many."""
    produced = 0
    while not enough.is_set():
        await feed.produce(_message(number) for number in range(produced, produced + AT_ONCE))
        produced += AT_ONCE
        await readers.until_accepted(produced - MOST_WAITING)
    return produced


def _message(number: int) -> Produced:
    return Produced(body=b"{}", headers={APPLICATION: "shop", EVENT_TYPE: "invoice.paid", EVENT_ID: f"e-{number}"})
