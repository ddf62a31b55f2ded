"""What befalls clocks: the time of day of one kind of process jumps by an hour, and back. PostgreSQL's stays right."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from service.domain import ids
from tests.faults import account
from tests.faults.named import by_name
from tests.faults.site import Fault, Hit, Site
from tests.faults.surroundings import may_skew
from tests.support.processes import RelevoProcess

JUMP = timedelta(hours=1)
FAR = JUMP / 2  # no attempt is so far from the time by itself
A_WHILE = 4.0
WRONG = "SELECT count(*) FROM attempt WHERE app_id = $1 AND (id < $2 OR id > $3)"


async def server_clock_ahead(site: Site) -> Hit:
    """The server's clock jumps an hour ahead for a while."""
    return await _wrong_server(site, JUMP)


async def server_clock_behind(site: Site) -> Hit:
    """The server's clock jumps an hour back for a while."""
    return await _wrong_server(site, -JUMP)


async def worker_clocks_apart(site: Site) -> Hit:
    """One worker's clock jumps an hour ahead and the other's an hour back, for a while."""
    ahead, behind = site.workers
    await _jump(site, [(ahead, JUMP), (behind, -JUMP)])
    now = await site.now()
    lowest, highest = ids.lowest(ids.ATTEMPT, now - FAR), ids.highest(ids.ATTEMPT, now + FAR)
    wrong = await account.count(site.database.direct, WRONG, site.customer.app_id, lowest, highest)
    return Hit(what="attempts at the wrong time", count=wrong)


async def _wrong_server(site: Site, jump: timedelta) -> Hit:
    await _jump(site, [(site.server, jump)])
    now = await site.now()
    wrong = [message for message in site.promises.accepted.values() if abs(ids.time_of(message) - now) > FAR]
    return Hit(what="messages accepted at the wrong time", count=len(wrong))


async def _jump(site: Site, jumps: Sequence[tuple[RelevoProcess, timedelta]]) -> None:
    for process, jump in jumps:
        site.clocks[process].jump(round(jump.total_seconds()))
    try:
        await asyncio.sleep(A_WHILE)
    finally:
        for process, _ in jumps:
            site.clocks[process].jump(0)


FAULTS: Mapping[str, Fault] = (
    by_name(server_clock_ahead, server_clock_behind, worker_clocks_apart) if may_skew() else {}
)
