"""Where faults happen: a fragile database, a server, workers, a receiver, and customers who do not stop."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from tests.faults import account
from tests.faults.database import FragileDatabase, open_fragile_database, small_disk
from tests.faults.surroundings import Clock, Hosts, compiled_shim, own_hosts, skewed_clock
from tests.support.processes import RelevoProcess, running, settings
from tests.support.receiver import Receiver, running_receiver
from tests.system import senders
from tests.system.senders import Customer, Promises

CLIENTS = 8
PACE = 0.04  # seconds between the messages of one client: some 150 messages a second from all of them
UNDER_WAY = 200
ATTEMPT = 1.0  # seconds that an attempt may take
HEALTHY = "slow/0.1"  # the usual endpoint: an attempt is always under way somewhere
FORBIDDEN = "127.0.0.2"  # Relevo may call 127.0.0.1 only
LONG_AGO = timedelta(hours=2)
RECOVERS_WITHIN = 150.0
POLL = 0.05

# What a server has a place for it delivers by itself: few, so that there is work for the workers.
SERVER_PLACES = {"RELEVO_CONCURRENCY": "2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All that a fault may lay hands on. The customer's endpoint is in good health, and nobody may call `forbidden`,
    which listens at the port of `receiver`."""

    database: FragileDatabase
    server: RelevoProcess
    workers: tuple[RelevoProcess, ...]
    clocks: Mapping[RelevoProcess, Clock]
    hosts: Hosts
    receiver: Receiver
    forbidden: Receiver
    lease: timedelta
    customer: Customer
    promises: Promises
    chance: random.Random

    @property
    def processes(self) -> tuple[RelevoProcess, ...]:
        return (self.server, *self.workers)

    async def now(self) -> datetime:
        """The time by the database's clock."""
        async with self.database.asking() as connection:
            moment: datetime = await connection.fetchval("SELECT now()")
        return moment

    async def leases_from_before(self, moment: datetime) -> int:
        """How many leases that were taken before that moment still hold."""
        return await account.leases_from_before(self.database.direct, moment, lease=self.lease)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """The proof that a fault met Relevo at work: what was seen of it, and how often."""

    what: str
    count: int


Fault = Callable[[Site], Awaitable[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one fault. `recovery` is in seconds from its end; `peak` is the most memory of a process, in MB;
    `trespasses` are connections to where Relevo must not go."""

    hit: Hit
    account: account.Account
    recovery: float
    peak: int
    trespasses: int

    @property
    def promise_kept(self) -> bool:
        """Whether the fault happened and nothing was lost."""
        return self.account.balanced and self.hit.count > 0 and not self.trespasses


async def suffer(fault: Fault, site: Site, *, chance: random.Random) -> Finding:
    """Let the fault happen in the midst of a new customer's traffic; how it went, once all is well again."""
    await _revive(site)
    site = await _with_new_customer(site, chance)
    before = site.forbidden.connections
    async with traffic(site.customer, site.promises):
        await site.promises.reach(UNDER_WAY)
        hit = await fault(site)
        recovery = await _recovery(site)
    async with asyncio.timeout(RECOVERS_WITHIN):
        await _all_final(site, list(site.promises.accepted.values()))
    return Finding(
        hit=hit,
        account=await account.draw_up(site.database.direct, set(site.promises.accepted.values()), site.receiver),
        recovery=recovery,
        peak=max(process.peak_memory() for process in site.processes) // 1_000_000,
        trespasses=site.forbidden.connections - before,
    )


@asynccontextmanager
async def open_site(*, margin: float = 15.0) -> AsyncIterator[Site]:
    """A site that lasts for any number of faults. What a dead process held is taken over after an attempt's time and
    that margin."""
    with tempfile.TemporaryDirectory(prefix="relevo-") as name, small_disk((directory := Path(name)) / "db") as disk:
        async with (
            open_fragile_database(disk, options=("max_connections = 60",)) as database,
            running_receiver() as receiver,
            running_receiver(host=FORBIDDEN, port=receiver.port) as forbidden,
        ):
            environ = settings(
                RELEVO_DATABASE_URL=database.url,
                RELEVO_ATTEMPT_TIMEOUT=str(ATTEMPT),
                RELEVO_LEASE_MARGIN=str(margin),
                RELEVO_EGRESS_ALLOW="127.0.0.1/32",
            )
            hosts = own_hosts(directory)
            library = compiled_shim(directory)
            server, *workers = clocks = _processes(directory, environ, hosts, library)
            async with running(server, *workers):
                yield Site(
                    database=database,
                    server=server,
                    workers=tuple(workers),
                    clocks=clocks,
                    hosts=hosts,
                    receiver=receiver,
                    forbidden=forbidden,
                    lease=timedelta(seconds=ATTEMPT + margin),
                    # A server whose clock jumps back refuses a token of the future, so it is an old one.
                    customer=await senders.prepare(environ, f"{receiver.url}/{HEALTHY}", token_age=LONG_AGO),
                    promises=Promises(),
                    chance=random.Random(0),
                )


def _processes(
    directory: Path, environ: Mapping[str, str], hosts: Hosts, library: Path | None
) -> dict[RelevoProcess, Clock]:
    """A server and two workers, each with its clock."""
    found = {}
    for role, name in (("serve", "serve"), ("worker", "worker-1"), ("worker", "worker-2")):
        clock = skewed_clock(directory, name, library)
        log = directory / f"{name}.log"
        places = SERVER_PLACES if role == "serve" else {}
        found[RelevoProcess(role, {**environ, **clock.environ, **places}, log, within=hosts.within)] = clock
    return found


async def _revive(site: Site) -> None:
    """Start what the fault before has killed, and measure anew."""
    await asyncio.gather(*(process.start() for process in site.processes if not process.alive))
    for process in site.processes:
        process.forget_peak()


async def _with_new_customer(site: Site, chance: random.Random) -> Site:
    url, token = site.customer.url, site.customer.token
    customer = await senders.new_customer(url, token, f"{site.receiver.url}/{HEALTHY}")
    return replace(site, customer=customer, promises=Promises(), chance=chance)


@asynccontextmanager
async def traffic(customer: Customer, promises: Promises) -> AsyncIterator[None]:
    """Messages, each repeated until it is accepted, while the block lasts."""
    ending = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for first in range(CLIENTS):
            group.create_task(_send(customer, promises, first, ending))
        yield
        ending.set()


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
