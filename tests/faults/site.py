"""Where a fault happens: a fragile database, a server, workers, a receiver, and customers who do not stop."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults import account
from tests.faults.database import FragileDatabase, open_fragile_database, small_disk
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver, running_receiver
from tests.system import senders
from tests.system.senders import Customer, Promises

CLIENTS = 8
PACE = 0.04  # seconds between the messages of one client: some 150 messages a second from all of them
UNDER_WAY = 200
RECOVERS_WITHIN = 150.0
POLL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All that a fault may lay hands on. The customer's endpoint is in good health."""

    database: FragileDatabase
    server: RelevoProcess
    workers: tuple[RelevoProcess, ...]
    receiver: Receiver
    customer: Customer
    promises: Promises
    chance: random.Random

    @property
    def processes(self) -> tuple[RelevoProcess, ...]:
        return (self.server, *self.workers)


Fault = Callable[[Site], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one fault. `recovery` is in seconds from its end; `peak` is the most memory of a process, in MB."""

    account: account.Account
    recovery: float
    peak: int
    refused: int


async def suffer(fault: Fault, *, seed: int) -> Finding:
    """Let the fault happen in the midst of traffic; how it went, once all is well again."""
    async with _site(random.Random(seed)) as site:
        async with _traffic(site.customer, site.promises):
            await site.promises.reach(UNDER_WAY)
            await fault(site)
            recovery = await _recovery(site)
        async with asyncio.timeout(RECOVERS_WITHIN):
            await _all_final(site, list(site.promises.accepted.values()))
        return Finding(
            account=await account.draw_up(site.database.direct, set(site.promises.accepted.values()), site.receiver),
            recovery=recovery,
            peak=max(process.peak_memory() for process in site.processes) // 1_000_000,
            refused=site.promises.refused,
        )


@asynccontextmanager
async def _site(chance: random.Random) -> AsyncIterator[Site]:
    options = ("max_connections = 60",)
    with tempfile.TemporaryDirectory(prefix="relevo-") as name, small_disk((directory := Path(name)) / "db") as disk:
        async with open_fragile_database(disk, options=options) as database, running_receiver() as receiver:
            environ = settings(RELEVO_DATABASE_URL=database.url, RELEVO_ATTEMPT_TIMEOUT="1")
            server = RelevoProcess("serve", environ, directory / "serve.log")
            workers = tuple(RelevoProcess("worker", environ, directory / f"worker-{n}.log") for n in (1, 2))
            async with running(server, *workers):
                yield Site(
                    database=database,
                    server=server,
                    workers=workers,
                    receiver=receiver,
                    customer=await senders.prepare(environ, f"{receiver.url}/ok"),
                    promises=Promises(),
                    chance=chance,
                )


@asynccontextmanager
async def _traffic(customer: Customer, promises: Promises) -> AsyncIterator[None]:
    """Messages, each repeated until it is accepted, while the block lasts."""
    ending = asyncio.Event()
    clients = [asyncio.create_task(_send(customer, promises, n, ending)) for n in range(CLIENTS)]
    try:
        yield
    finally:
        ending.set()
        await asyncio.gather(*clients)


async def _send(customer: Customer, promises: Promises, first: int, ending: asyncio.Event) -> None:
    number = first
    async with senders.opened(customer.url, customer.token) as sdk:
        while not ending.is_set():
            await senders.send(sdk, customer.app_id, number, promises)
            number += CLIENTS
            await asyncio.sleep(PACE)


async def _recovery(site: Site) -> float:
    """Seconds until all that was promised before is final, and a message that was promised since has arrived."""
    since = time.monotonic()
    before = list(site.promises.accepted.values())
    async with asyncio.timeout(RECOVERS_WITHIN):
        await site.promises.reach(len(before) + 1)
        newest = list(site.promises.accepted.values())[len(before) :]
        await _all_final(site, [*before, *newest])
    return time.monotonic() - since


async def _all_final(site: Site, messages: list[str]) -> None:
    while await account.still_owed(site.database.direct, messages):  # noqa: ASYNC110  # other processes' doing
        await asyncio.sleep(POLL)
