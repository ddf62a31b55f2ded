"""Where organisations live: the rows of the database that is home, and each organisation's own where it lives."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.notify_line import NotifyLine, Talk
from service.adapters.postgres.server.residence import RESIDENTS
from service.adapters.postgres.server.statements import beside
from service.domain.ids import OrgId

CHANNEL = "relevo_home"  # the trigger of `organisation_home` sends the organisation's id

_statements = beside(__name__)
HOME_OF, HOMES_OF = _statements["home_of"], _statements["homes_of"]
COUNTS, LISTED, HAS_SOMETHING = _statements["counts"], _statements["listed"], _statements["has_something"]
RESIDENCE = _statements["residence"]
PLACE = "INSERT INTO organisation_home (org_id, database) VALUES ($1, $2) ON CONFLICT DO NOTHING"
MOVE_IN = "INSERT INTO organisation (org_id) VALUES ($1) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """An organisation's database, by name."""

    org_id: OrgId
    database: str
    placed_at: datetime


class PostgresHomes:
    """Fulfils `ports.HomeRepository`. `pool` gives its connections, or raises Unavailable."""

    def __init__(self, pool: Callable[[], asyncpg.Pool]) -> None:
        self._pool = pool

    async def of(self, org_id: OrgId) -> str | None:
        """The name of the organisation's database; None for one that lives nowhere yet. Raises Unavailable."""
        with unavailable_when_lost():
            name: str | None = await self._pool().fetchval(*HOME_OF(org_id=org_id))
        return name

    async def place(self, org_id: OrgId, database: str) -> str:
        """Place an organisation; returns the name of the database where it lives afterwards, which is another one if
        somebody else has placed it. Raises Unavailable."""
        with unavailable_when_lost():
            async with self._pool().acquire() as connection:
                await connection.execute(PLACE, org_id, database)
                name: str = await connection.fetchval(*HOME_OF(org_id=org_id))
        return name

    async def counts(self) -> Mapping[str, int]:
        """How many organisations live in each database that has some. Raises Unavailable."""
        with unavailable_when_lost():
            rows = await self._pool().fetch(*COUNTS())
        return {row["database"]: row["organisations"] for row in rows}

    async def listed(self) -> Sequence[Home]:
        """All of them. Raises Unavailable."""
        with unavailable_when_lost():
            return [Home(**row) for row in await self._pool().fetch(*LISTED())]

    async def has_something(self, org_id: OrgId) -> bool:
        """Whether something of the organisation's is in this very database. Raises Unavailable."""
        with unavailable_when_lost():
            return bool(await self._pool().fetchval(*HAS_SOMETHING(org_id=org_id)))


async def move_in(pool: asyncpg.Pool, org_id: OrgId) -> bool:
    """Whether the organisation lives in the database of the pool. It does from now on if it never has. Raises
    Unavailable."""
    with unavailable_when_lost():
        async with pool.acquire() as connection:
            if (found := await connection.fetchval(*RESIDENCE(org_id=org_id))) is None:
                await connection.execute(MOVE_IN, org_id)
                found = await connection.fetchval(*RESIDENCE(org_id=org_id))
    return found in RESIDENTS


@asynccontextmanager
async def hearing_of_moves(
    url: str, *, moved: Callable[[OrgId], None], known: Callable[[], Mapping[OrgId, str]]
) -> AsyncIterator[None]:
    """Call `moved` for each organisation whose home changes, while the block lasts. `url` is the direct address of the
    database that is home. After its connection was lost, what is `known` is compared with what is there."""

    async def opened(connection: asyncpg.Connection) -> None:
        before = known()
        rows = await connection.fetch(*HOMES_OF(org_ids=list(before)))
        now = {row["org_id"]: row["database"] for row in rows}
        for org_id, name in before.items():
            if now.get(org_id) != name:
                moved(org_id)

    async def tells_nothing(_: asyncpg.Connection) -> None:
        pass

    line = NotifyLine(url, name="homes")
    hears = {CHANNEL: lambda said: moved(OrgId(said))}
    async with line.running(Talk(hears=hears, opened=opened, tells=tells_nothing)):
        yield
