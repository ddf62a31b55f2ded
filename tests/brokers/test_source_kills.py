"""Whoever is killed while messages flow in from a broker: each is accepted, and accepted once.

RELEVO_TEST_SOURCE_MESSAGES says how many messages of each kind; `--log-cli-level info` shows how it went.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from deploy.brokers.processes import Broker
from deploy.brokers.together import Ports, addresses, running_programs
from service.domain.sources import SourceKind
from tests.brokers.readers import Readers, open_readers
from tests.faults.database import open_fragile_database
from tests.support.broker_feeds import Feed, Produced, feed_of
from tests.support.patience import patient

MESSAGES = int(os.environ.get("RELEVO_TEST_SOURCE_MESSAGES", "6000"))
WITHIN = patient(120 + MESSAGES / 50)
HEADERS = {"relevo-application": "shop", "relevo-event-type": "invoice.paid"}
SERVERS = 3

Own = tuple[Broker, AbstractAsyncContextManager[Feed]]

_log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(WITHIN * 2 + 300)


@pytest.fixture(params=list(SourceKind))
def own(request: pytest.FixtureRequest, directory: Path) -> Iterator[Own]:
    """A broker of the test's own, to be killed, and what produces there."""
    home, ports = directory / "broker", Ports.free()
    home.mkdir()
    with running_programs(home, ports, only=[request.param]) as programs:
        yield programs[request.param], feed_of(request.param, addresses(ports), "events")


async def test_nothing_is_lost_or_doubled_when_servers_the_database_and_the_broker_are_killed_twice_each(
    own: Own, directory: Path
) -> None:
    broker, opened = own
    async with (
        open_fragile_database(directory / "database") as database,
        open_readers(database.direct, directory, count=SERVERS, url=database.url) as readers,
    ):
        async with opened as feed:
            await feed.produce(Produced(body=b"{}", headers=HEADERS, id=f"m-{n}") for n in range(MESSAGES))
            source = await readers.source(feed)
        began = time.monotonic()

        for server, share in ((1, 0.1), (2, 0.55)):
            await readers.until_accepted(int(MESSAGES * share), within=WITHIN)
            await readers.processes[server].kill()
            await readers.until_accepted(int(MESSAGES * (share + 0.15)), within=WITHIN)
            database.kill()
            await database.start()
            await readers.until_accepted(int(MESSAGES * (share + 0.3)), within=WITHIN)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
            await readers.processes[server].start()
        await readers.until_accepted(MESSAGES, within=WITHIN)
        seconds = time.monotonic() - began
        await readers.state(source, lambda state: state["status"] == "running" and state["lag"] == 0)
        accepted, repeated = await kept(readers), readers.received("repeated")
        _log.info("%s: %s of %s accepted within %.0f s, %s repeats", broker.name, accepted, MESSAGES, seconds, repeated)

        assert accepted == (MESSAGES, MESSAGES)


async def kept(readers: Readers) -> tuple[int, int]:
    """How many messages there are, and how many different ones."""
    (row,) = await readers.ask("SELECT count(*), count(DISTINCT event_id) FROM message")
    return row[0], row[1]
