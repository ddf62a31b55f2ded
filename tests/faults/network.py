"""What befalls the network between Relevo and PostgreSQL: cut, silent, slow."""

import asyncio
from collections.abc import Mapping

from tests.faults.named import by_name
from tests.faults.site import Fault, Hit, Site

A_WHILE = 4.0
DELAY = 0.2


async def connections_refused(site: Site) -> Hit:
    """Every connection to PostgreSQL is reset, and every new one, for a while."""
    wire = site.database.wire
    before = wire.reset
    wire.cut()
    await asyncio.sleep(A_WHILE)
    wire.mend()
    return Hit(what="connections reset", count=wire.reset - before)


async def connections_cut_again_and_again(site: Site) -> Hit:
    """Every connection to PostgreSQL is reset, ten times, at random moments."""
    wire = site.database.wire
    before = wire.reset
    for _ in range(10):
        wire.cut()
        wire.mend()
        await asyncio.sleep(site.chance.random())
    return Hit(what="connections reset", count=wire.reset - before)


async def network_silent(site: Site) -> Hit:
    """The network to PostgreSQL swallows everything for a while; the connections of that time never speak again."""
    wire = site.database.wire
    before = wire.swallowed
    wire.swallow()
    await asyncio.sleep(A_WHILE)
    wire.mend()
    return Hit(what="packets swallowed", count=wire.swallowed - before)


async def network_slow(site: Site) -> Hit:
    """Each packet to and from PostgreSQL takes 0.2 s longer."""
    wire = site.database.wire
    before = wire.delayed
    wire.delay = DELAY
    await asyncio.sleep(2 * A_WHILE)
    wire.mend()
    return Hit(what="packets delayed", count=wire.delayed - before)


FAULTS: Mapping[str, Fault] = by_name(
    connections_refused, connections_cut_again_and_again, network_silent, network_slow
)
