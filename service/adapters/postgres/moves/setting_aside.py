"""Sets aside what an organisation owes, so that nobody works on it, and puts it back."""

import asyncpg

from service.adapters.postgres.moves.connection import MoversConnection
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.wakeups import CHANNEL, NOTIFY, SOURCE_CHANNEL, STREAM_CHANNEL, TASK_CHANNEL
from service.domain.ids import OrgId
from service.domain.moves import SET_ASIDE
from service.domain.operational_webhooks import OPERATIONS

BATCH = 2000
_statements = beside(__name__)
_ASIDE = _statements["put_aside_tasks"], _statements["put_aside_destinations"]
_BACK = _statements["put_back_tasks"], _statements["put_back_destinations"]
ASIDE_DELIVERIES, BACK_DELIVERIES = _statements["put_aside_deliveries"], _statements["put_back_deliveries"]
UNDER_WAY = _statements["under_way"]


async def set_aside(mover: MoversConnection) -> None:
    """Set aside what nobody is at work on, as far as nobody is changing it. Raises Unavailable, MoveTaken."""
    whose = _whose(mover.org_id)
    async with mover.transaction() as connection:
        for statement in _ASIDE:
            await connection.execute(*statement(**whose))
    while await _count(mover, ASIDE_DELIVERIES(**whose, batch=BATCH)) == BATCH:
        pass


async def put_back(mover: MoversConnection) -> None:
    """Put back what was set aside, and tell every process that it is due. Raises Unavailable, MoveTaken."""
    whose = _whose(mover.org_id)
    async with mover.transaction() as connection:
        for statement in _BACK:
            await connection.execute(*statement(**whose))
    while await _count(mover, BACK_DELIVERIES(**whose, batch=BATCH)):
        pass
    await tell_everybody(mover)


async def tell_everybody(mover: MoversConnection) -> None:
    """Have every process look whether something is due, and which sources there are. Raises Unavailable, MoveTaken."""
    async with mover.transaction() as connection:
        for channel in (CHANNEL, TASK_CHANNEL, SOURCE_CHANNEL, STREAM_CHANNEL):
            await connection.execute(NOTIFY, channel, "")


async def is_under_way(connection: asyncpg.Connection, org_id: OrgId) -> bool:
    """Whether something is not set aside."""
    return bool(await connection.fetchval(*UNDER_WAY(**_whose(org_id))))


def _whose(org_id: OrgId) -> dict[str, object]:
    return {"org_id": org_id, "operations": OPERATIONS, "aside": SET_ASIDE}


async def _count(mover: MoversConnection, statement: tuple[object, ...]) -> int:
    async with mover.transaction() as connection:
        return rows_of(await connection.execute(*statement))


def rows_of(status: str) -> int:
    """The count in what PostgreSQL answers to a statement that changes rows."""
    return int(status.rpartition(" ")[2])
