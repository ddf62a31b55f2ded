"""What a new release does: three servers behind a proxy and two workers are replaced one by one, under load."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults import account
from tests.faults.named import by_name
from tests.faults.site import HEALTHY, Fault, Hit, Site, traffic
from tests.support.processes import RelevoProcess, free_port, running
from tests.support.proxy import Proxy, running_proxy
from tests.system import audit, senders
from tests.system.senders import Promises

ATTEMPTS = "SELECT count(*) FROM attempt WHERE message_id = ANY ($1::text[])"


async def rolling_restart(site: Site) -> Hit:
    """Every process leaves by SIGTERM and comes back; a server is taken out of the proxy first, as Kubernetes does."""
    promises = Promises()
    async with _more_servers(site) as servers, running_proxy([_port(server) for server in servers]) as proxy:
        for server in servers:
            await proxy.put_back(_port(server))
        customer = await senders.new_customer(proxy.url, site.customer.token, f"{site.receiver.url}/{HEALTHY}")
        async with traffic(customer, promises):
            statuses = [await _replaced(server, proxy) for server in servers]
            statuses += [await _restarted(worker) for worker in site.workers]
            await promises.reach(len(promises.accepted) + 1)
        accepted = list(promises.accepted.values())
        while await account.still_owed(site.database.direct, accepted):  # noqa: ASYNC110  # other processes' doing
            await asyncio.sleep(0.05)
    site.promises.accepted.update(
        {f"{customer.app_id} {event}": message for event, message in promises.accepted.items()}
    )
    failed = sum(count for status, count in proxy.statuses.items() if not 200 <= status < 300)
    attempts = int(str(await audit.ask(site.database.direct, ATTEMPTS, accepted)))
    unharmed = not failed and attempts == len(accepted) and not any(statuses)
    told = f"{len(accepted)} messages, {attempts} attempts, {failed} requests failed, status {max(map(abs, statuses))}"
    return Hit(what=f"processes replaced ({told})", count=len(statuses) if unharmed else 0)


async def _replaced(server: RelevoProcess, proxy: Proxy) -> int:
    await proxy.take_out(_port(server))
    status = await _restarted(server)
    await proxy.put_back(_port(server))
    return status


async def _restarted(process: RelevoProcess) -> int:
    status = await process.stop()
    await process.start()
    return status


@asynccontextmanager
async def _more_servers(site: Site) -> AsyncIterator[list[RelevoProcess]]:
    """The site's server and two more."""
    with tempfile.TemporaryDirectory(prefix="relevo-") as directory:
        more = [
            RelevoProcess("serve", {**site.server.environ, "RELEVO_PORT": str(free_port())}, Path(directory) / f"{nth}")
            for nth in range(2)
        ]
        async with running(*more):
            yield [site.server, *more]
            for server in more:
                await server.stop()


def _port(server: RelevoProcess) -> int:
    return int(server.environ["RELEVO_PORT"])


FAULTS: Mapping[str, Fault] = by_name(rolling_restart)
