"""What befalls tenants of two databases: one is killed, and one's tenant moves while everything is killed that takes
part in the move."""

import asyncio
import os
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.adapters.access.tokens import DEFAULT_ORGANISATION
from service.domain.moves import MoveStep
from tests.faults import account
from tests.faults.database import FragileDatabase, open_fragile_database
from tests.faults.named import by_name, shown
from tests.faults.site import HEALTHY, Fault, Hit, Site, traffic
from tests.support.databases import asking, bearer, named
from tests.support.processes import RelevoProcess, command, environment, free_port, running
from tests.system import senders
from tests.system.senders import Customer, Promises

UNDER_WAY = 50
MOVER = "the mover"
STEPS = [step for step in MoveStep if step is not MoveStep.UNDOING]
OTHER = "org_other"
OF_THE_SITE = {"RELEVO_DATABASE_URL", "RELEVO_CONCURRENCY"}  # whose server leaves most to its workers


async def tenant_moved(site: Site) -> Hit:
    """A tenant moves, back and forth; SIGKILL to the mover, or to either database, at every step."""
    async with _pair(site) as pair:
        moves = 0
        for step in STEPS:
            for victim in (MOVER, *pair.databases):
                await _moved(pair, step, victim)
                moves += 1
                await pair.promises.reach(len(pair.promises.accepted) + UNDER_WAY)
        hit = await pair.outcome(site)
    return Hit(what=f"moves that ended ({hit})", count=moves)


async def one_of_two_killed(site: Site) -> Hit:
    """SIGKILL to one of two databases: its own tenant waits, nobody else."""
    async with _pair(site) as pair:
        neighbour = await senders.new_customer(
            pair.customer.url, bearer(OTHER)["authorization"].removeprefix("Bearer "), f"{site.receiver.url}/{HEALTHY}"
        )
        promises = Promises()
        async with traffic(neighbour, promises):
            await promises.reach(UNDER_WAY)
            pair.databases["eu-1"].kill()
            before = len(promises.accepted)
            await promises.reach(before + UNDER_WAY)
            await pair.databases["eu-1"].start()
            await promises.reach(len(promises.accepted) + UNDER_WAY)
            await pair.promises.reach(len(pair.promises.accepted) + UNDER_WAY)
        accepted = list(promises.accepted.values())
        await shown(lambda: _nothing_owed(pair.databases["eu-2"].direct, accepted))
        theirs = await account.draw_up(pair.databases["eu-2"].direct, accepted, site.receiver)
        hit = await pair.outcome(site)
        assert theirs.balanced, theirs
    told = f"{hit}; of the neighbour's {theirs.accepted} messages {promises.refused} were refused"
    return Hit(what=f"of two databases killed ({told})", count=0 if promises.refused else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A server over two databases, and a tenant of it that does not stop."""

    environ: Mapping[str, str]
    databases: Mapping[str, FragileDatabase]
    customer: Customer
    promises: Promises

    async def home(self) -> str:
        """Where the tenant lives."""
        async with asking(self.databases["eu-1"].direct) as connection:
            return str(
                await connection.fetchval(
                    "SELECT database FROM organisation_home WHERE org_id = $1", DEFAULT_ORGANISATION
                )
            )

    async def outcome(self, site: Site) -> str:
        """What became of all that was accepted. AssertionError if something is lost, or left behind."""
        lives_in = await self.home()
        accepted = list(self.promises.accepted.values())
        await shown(lambda: _nothing_owed(self.databases[lives_in].direct, accepted))
        told = await account.draw_up(self.databases[lives_in].direct, accepted, site.receiver)
        assert told.balanced, told
        assert told.scheduled == 0, told
        for name, database in self.databases.items():
            stays = name == lives_in
            query = "SELECT count(*) FROM message WHERE org_id = $1"
            assert bool(await account.count(database.direct, query, DEFAULT_ORGANISATION)) == stays, name
        return f"{told.accepted} messages, lost {told.lost}, {told.duplicates} duplicates"


@asynccontextmanager
async def _pair(site: Site) -> AsyncIterator[_Pair]:
    with tempfile.TemporaryDirectory(prefix="relevo-") as name:
        directory = Path(name)
        async with AsyncExitStack() as stack:
            databases = {
                one: await stack.enter_async_context(open_fragile_database(directory / one)) for one in ("eu-1", "eu-2")
            }
            others = {key: value for key, value in site.server.environ.items() if key not in OF_THE_SITE}
            urls = {one.replace("-", "_"): database.url for one, database in databases.items()}
            environ = {**others, **named(**urls), "RELEVO_PORT": str(free_port())}
            server = RelevoProcess("serve", environ, directory / "log")
            await stack.enter_async_context(running(server))
            customer = await senders.prepare(environ, f"{site.receiver.url}/{HEALTHY}")
            promises = Promises()
            await stack.enter_async_context(_traffic(customer, promises, server))
            yield _Pair(environ=environ, databases=databases, customer=customer, promises=promises)


@asynccontextmanager
async def _traffic(customer: Customer, promises: Promises, server: RelevoProcess) -> AsyncIterator[None]:
    async with traffic(customer, promises):
        yield
    await server.stop()


async def _moved(pair: _Pair, step: MoveStep, victim: str) -> None:
    """Move the tenant to where it does not live; kill the victim as soon as that step has begun; wait for the end."""
    target = "eu-2" if await pair.home() == "eu-1" else "eu-1"
    mover = await _start(pair, target)
    assert mover.stdout is not None
    async for line in mover.stdout:
        if line.decode().strip().endswith(f": {step}"):
            break
    if victim == MOVER:
        if mover.returncode is None:
            mover.kill()
    else:
        pair.databases[victim].kill()
        await pair.databases[victim].start()
    await mover.communicate()
    while await pair.home() != target or await _under_way(pair):
        again = await _start(pair, target)
        await again.communicate()


async def _start(pair: _Pair, target: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *command("tenants", "move", DEFAULT_ORGANISATION, target),
        env=environment(pair.environ) | {"PATH": os.environ["PATH"]},
        stdout=PIPE,
        stderr=DEVNULL,
    )


async def _under_way(pair: _Pair) -> int:
    return await account.count(pair.databases["eu-1"].direct, "SELECT count(*) FROM tenant_move")


async def _nothing_owed(url: str, messages: list[str]) -> int:
    return int(not await account.still_owed(url, messages))


FAULTS: Mapping[str, Fault] = by_name(tenant_moved, one_of_two_killed)
