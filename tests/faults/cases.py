"""The faults themselves. Each one begins, lasts and is over when its function returns."""

import asyncio
import signal
from collections.abc import Mapping

from tests.faults.database import may_mount
from tests.faults.receivers import RECEIVERS
from tests.faults.site import Fault, Site

A_WHILE = 5.0
PAST_THE_LEASE = 18.0  # seconds: a lease is the attempt's one second and fifteen more
PAST_PATIENCE = 20.0  # seconds for which no attempt's outcome can be kept


async def server_killed(site: Site) -> None:
    """SIGKILL to the server, three times."""
    for _ in range(3):
        await site.server.kill()
        await site.server.start()
        await site.promises.reach(len(site.promises.accepted) + site.chance.randrange(50, 150))


async def worker_killed(site: Site) -> None:
    """SIGKILL to one worker, which does not come back."""
    await site.chance.choice(site.workers).kill()


async def everything_killed(site: Site) -> None:
    """SIGKILL to server and workers at once."""
    await asyncio.gather(*(process.kill() for process in site.processes))
    await asyncio.gather(*(process.start() for process in site.processes))


async def worker_stopped(site: Site) -> None:
    """SIGSTOP to a worker for longer than its leases last, then SIGCONT."""
    worker = site.chance.choice(site.workers)
    worker.send(signal.SIGSTOP)
    await asyncio.sleep(PAST_THE_LEASE)
    worker.send(signal.SIGCONT)


async def server_stopped(site: Site) -> None:
    """SIGSTOP to the server for longer than its leases last, then SIGCONT."""
    site.server.send(signal.SIGSTOP)
    await asyncio.sleep(PAST_THE_LEASE)
    site.server.send(signal.SIGCONT)


async def database_killed(site: Site) -> None:
    """SIGKILL to PostgreSQL, and a start after it."""
    site.database.kill()
    await site.database.start()


async def database_away(site: Site) -> None:
    """SIGKILL to PostgreSQL, and a start after longer than any worker tries to keep what it did."""
    site.database.kill()
    await asyncio.sleep(PAST_PATIENCE)
    await site.database.start()


async def connections_refused(site: Site) -> None:
    """Every connection to PostgreSQL is reset, and every new one, for a while."""
    site.database.wire.cut()
    await asyncio.sleep(A_WHILE)
    site.database.wire.mend()


async def connections_cut_again_and_again(site: Site) -> None:
    """Every connection to PostgreSQL is reset, ten times, at random moments."""
    for _ in range(10):
        site.database.wire.cut()
        site.database.wire.mend()
        await asyncio.sleep(site.chance.random())


async def network_silent(site: Site) -> None:
    """The network to PostgreSQL swallows everything for a while; the connections of that time never speak again."""
    site.database.wire.swallow()
    await asyncio.sleep(A_WHILE)
    site.database.wire.mend()


async def network_slow(site: Site) -> None:
    """Each packet to and from PostgreSQL takes 0.2 s longer."""
    site.database.wire.delay = 0.2
    await asyncio.sleep(2 * A_WHILE)
    site.database.wire.mend()


async def out_of_connections(site: Site) -> None:
    """PostgreSQL ends every connection and has none left for a while."""
    async with site.database.exhausted():
        await asyncio.sleep(A_WHILE)


async def statement_hangs(site: Site) -> None:
    """Somebody locks the table of owed deliveries for a while."""
    async with site.database.locked("pending_delivery"):
        await asyncio.sleep(2 * A_WHILE)


async def disk_full(site: Site) -> None:
    """PostgreSQL's disk is full for a while; if it does not survive that, it is started again."""
    async with site.database.full():
        await asyncio.sleep(A_WHILE)
    await site.database.start()


FAULTS: Mapping[str, Fault] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        server_killed,
        worker_killed,
        everything_killed,
        worker_stopped,
        server_stopped,
        database_killed,
        database_away,
        connections_refused,
        connections_cut_again_and_again,
        network_silent,
        network_slow,
        out_of_connections,
        statement_hangs,
        disk_full,
    )
    if fault is not disk_full or may_mount()
} | dict(RECEIVERS)
