"""What befalls processes of Relevo: they are killed, or stand still for longer than their leases last."""

import asyncio
import signal
from collections.abc import Mapping

from tests.faults.named import by_name, shown
from tests.faults.site import ATTEMPT, Fault, Hit, Site
from tests.support.processes import RelevoProcess

TOO_LATE = "settlement.too_late"


async def server_killed(site: Site) -> Hit:
    """SIGKILL to the server, three times."""
    before = site.promises.refused
    for _ in range(3):
        await site.server.kill()
        await site.server.start()
        await site.promises.reach(len(site.promises.accepted) + site.chance.randrange(50, 150))
    return Hit(what="requests cut off or refused", count=site.promises.refused - before)


async def worker_killed(site: Site) -> Hit:
    """SIGKILL to one worker, which does not come back."""
    worker = site.chance.choice(site.workers)
    left_behind = await _stopped_at_work(site, worker)
    await worker.kill()
    return Hit(what="leases left behind", count=left_behind)


async def everything_killed(site: Site) -> Hit:
    """SIGKILL to server and workers at once."""
    await asyncio.gather(*(process.kill() for process in site.processes))
    left_behind = await site.leases_from_before(await site.now())
    await asyncio.gather(*(process.start() for process in site.processes))
    return Hit(what="leases left behind", count=left_behind)


async def worker_stopped(site: Site) -> Hit:
    """SIGSTOP to a worker for longer than its leases last, then SIGCONT."""
    return await _stop(site, site.chance.choice(site.workers))


async def server_stopped(site: Site) -> Hit:
    """SIGSTOP to the server for longer than its leases last, then SIGCONT."""
    return await _stop(site, site.server)


async def _stop(site: Site, process: RelevoProcess) -> Hit:
    before = len(process.events(TOO_LATE))
    await _stopped_at_work(site, process)
    await asyncio.sleep(site.lease.total_seconds())
    process.send(signal.SIGCONT)

    async def came_too_late() -> int:
        return len(process.events(TOO_LATE)) - before

    return Hit(what="settlements that came too late", count=await shown(came_too_late))


async def _stopped_at_work(site: Site, process: RelevoProcess) -> int:
    """Have it stand still at a moment when it has something in its hands; how many leases that is."""

    async def held() -> int:
        process.send(signal.SIGSTOP)
        stopped_at = await site.now()
        await asyncio.sleep(2 * ATTEMPT)  # what others had under lease at that moment is settled after that
        leases = await site.leases_from_before(stopped_at)
        if not leases:
            process.send(signal.SIGCONT)
        return leases

    return await shown(held)


FAULTS: Mapping[str, Fault] = by_name(server_killed, worker_killed, everything_killed, worker_stopped, server_stopped)
