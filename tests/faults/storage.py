"""What befalls PostgreSQL: killed, away, full, out of connections, hanging, or taking nothing. The proof is mostly what
it said to Relevo, read off the wire."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from tests.faults.named import by_name, shown
from tests.faults.site import Fault, Hit, Site
from tests.faults.surroundings import may_mount

A_WHILE = 4.0
LONGER_THAN_A_STATEMENT = 10.0  # seconds: one of the hot path may take eight
PAST_THE_LEASE = 2.0

CANCELED = "57014"
DISK_FULL = "53100"
READ_ONLY = "25006"
TOO_MANY_CONNECTIONS = "53300"


async def database_killed(site: Site) -> Hit:
    """SIGKILL to PostgreSQL, and a start after it."""
    before = site.database.wire.lost
    site.database.kill()
    await site.database.start()
    return Hit(what="connections lost", count=site.database.wire.lost - before)


async def database_away(site: Site) -> Hit:
    """SIGKILL to PostgreSQL, and a start after longer than any worker tries to keep what it did."""
    before = site.promises.refused
    site.database.kill()
    await asyncio.sleep(site.lease.total_seconds() + PAST_THE_LEASE)
    await site.database.start()
    return Hit(what="requests refused", count=site.promises.refused - before)


async def database_in_recovery(site: Site) -> Hit:
    """PostgreSQL comes back as a standby that takes nothing, and is promoted after a while."""
    before = site.database.wire.refusals[READ_ONLY]
    site.database.kill()
    await site.database.start_as_standby()
    await asyncio.sleep(A_WHILE)
    await site.database.promote()
    return Hit(what="statements refused", count=site.database.wire.refusals[READ_ONLY] - before)


async def database_read_only(site: Site) -> Hit:
    """Every transaction is read-only for a while."""
    before = site.database.wire.refusals[READ_ONLY]
    async with site.database.read_only():
        await asyncio.sleep(A_WHILE)
    return Hit(what="statements refused", count=site.database.wire.refusals[READ_ONLY] - before)


async def out_of_connections(site: Site) -> Hit:
    """PostgreSQL ends every connection and has none left for a while."""
    before = site.database.wire.refusals[TOO_MANY_CONNECTIONS]
    async with site.database.exhausted():
        await asyncio.sleep(A_WHILE)
    return Hit(what="connections refused", count=site.database.wire.refusals[TOO_MANY_CONNECTIONS] - before)


async def statement_hangs(site: Site) -> Hit:
    """Somebody locks the table of owed deliveries for longer than a statement may take."""
    before = site.database.wire.refusals[CANCELED]
    async with site.database.locked("pending_delivery"):
        await asyncio.sleep(LONGER_THAN_A_STATEMENT)
    return Hit(what="statements cancelled", count=site.database.wire.refusals[CANCELED] - before)


async def disk_full(site: Site) -> Hit:
    """PostgreSQL's disk is full for a while; if it does not survive that, it is started again."""
    before = site.database.wire.refusals[DISK_FULL]
    async with site.database.full():
        await shown(_refused(site, DISK_FULL, before))
        await asyncio.sleep(A_WHILE)
    await site.database.start()
    return Hit(what="statements refused for want of space", count=site.database.wire.refusals[DISK_FULL] - before)


def _refused(site: Site, code: str, before: int) -> Callable[[], Awaitable[int]]:
    async def look() -> int:
        return site.database.wire.refusals[code] - before

    return look


_ALWAYS = (
    database_killed,
    database_away,
    database_in_recovery,
    database_read_only,
    out_of_connections,
    statement_hangs,
)
FAULTS: Mapping[str, Fault] = by_name(*_ALWAYS, *((disk_full,) if may_mount() else ()))
