"""What befalls one server of two processes: a child of it is killed, or all are replaced, while messages come in."""

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults import account
from tests.faults.named import by_name, shown
from tests.faults.site import HEALTHY, Fault, Hit, Site, traffic
from tests.support.processes import RelevoProcess, free_port, running
from tests.system import senders
from tests.system.senders import Promises

KILLS = 4
UNDER_WAY = 50


async def child_killed(site: Site) -> Hit:
    """SIGKILL to a child of `serve --processes 2`, four times."""
    async with _family(site) as (server, promises):
        for kill in range(1, KILLS + 1):
            os.kill(server.children[site.chance.choice([1, 2])], signal.SIGKILL)
            await _so_many_ready(server, 2 + kill)
            await promises.reach(len(promises.accepted) + site.chance.randrange(20, 80))
        replaced = len(server.events("process.ended"))
    return Hit(what=f"children replaced ({len(promises.accepted)} messages)", count=replaced)


async def rolled(site: Site) -> Hit:
    """SIGHUP to `serve --processes 2`: each process is replaced by one that runs the code that is there now."""
    async with _family(site) as (server, promises):
        await promises.reach(UNDER_WAY)
        server.send(signal.SIGHUP)
        await _so_many_ready(server, 4)
        await promises.reach(len(promises.accepted) + UNDER_WAY)
    told = f"{len(promises.accepted)} messages, {promises.refused} requests failed"
    return Hit(what=f"processes replaced ({told})", count=0 if promises.refused else 2)


@asynccontextmanager
async def _family(site: Site) -> AsyncIterator[tuple[RelevoProcess, Promises]]:
    """Such a server with traffic of its own, whose promises are the site's in the end."""
    promises = Promises()
    with tempfile.TemporaryDirectory(prefix="relevo-") as directory:
        environ = {**site.server.environ, "RELEVO_PORT": str(free_port()), "RELEVO_PROCESSES": "2"}
        server = RelevoProcess("serve", environ, Path(directory) / "log")
        async with running(server):
            await _so_many_ready(server, 2)
            url = f"http://127.0.0.1:{environ['RELEVO_PORT']}"
            customer = await senders.new_customer(url, site.customer.token, f"{site.receiver.url}/{HEALTHY}")
            async with traffic(customer, promises):
                yield server, promises
            accepted = list(promises.accepted.values())
            await shown(lambda: _nothing_owed(site, accepted))
            await server.stop()
    site.promises.accepted.update(
        {f"{customer.app_id} {event}": message for event, message in promises.accepted.items()}
    )


async def _so_many_ready(server: RelevoProcess, count: int) -> None:
    async def ready() -> int:
        return int(len(server.events("process.ready")) >= count)

    await shown(ready)


async def _nothing_owed(site: Site, messages: list[str]) -> int:
    return int(not await account.still_owed(site.database.direct, messages))


FAULTS: Mapping[str, Fault] = by_name(child_killed, rolled)
