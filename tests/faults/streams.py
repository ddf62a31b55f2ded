"""What befalls an ordered destination while it is read: its readers are killed, or the database is. The hit counts the
messages that came in the order of their commits, all of them; it is 0 if one is missing or out of place."""

from collections.abc import Awaitable, Mapping

from tests.faults.named import by_name
from tests.faults.site import RECOVERS_WITHIN, Fault, Hit, Site
from tests.system import ordered

BATCH = 5
BEHIND = 100  # messages that are accepted between one blow and the next


async def readers_killed(site: Site) -> Hit:
    """SIGKILL to each process in turn while an ordered destination is read, twice."""

    async def blows() -> None:
        for process in site.processes * 2:
            await _more(site)
            await process.kill()
            await process.start()

    return await _read_through(site, blows())


async def database_killed_while_read(site: Site) -> Hit:
    """SIGKILL to PostgreSQL while an ordered destination is read, three times."""

    async def blows() -> None:
        for _ in range(3):
            await _more(site)
            site.database.kill()
            await site.database.start()

    return await _read_through(site, blows())


async def _read_through(site: Site, blows: Awaitable[None]) -> Hit:
    url, path = site.database.direct, f"/slow/0.05/{site.customer.app_id}"
    destination = await ordered.add_destination(
        url, site.customer.app_id, f"{site.receiver.url}{path}", batch_size=BATCH
    )
    await blows
    await _more(site)
    await ordered.until_caught_up(url, destination, within=RECOVERS_WITHIN)
    found = await ordered.received(url, destination, site.receiver, path)
    return Hit(
        what=f"messages in order, {found.repeats} of them again",
        count=len(found.messages) - found.repeats if found.in_order else 0,
    )


async def _more(site: Site) -> None:
    await site.promises.reach(len(site.promises.accepted) + BEHIND)


FAULTS: Mapping[str, Fault] = by_name(readers_killed, database_killed_while_read)
