"""Deletes what an organisation has in a database where it does not live."""

from collections.abc import Mapping, Sequence

from service.adapters.postgres.moves.belongings import OWNERS
from service.adapters.postgres.moves.columns import Shape
from service.adapters.postgres.moves.connection import MoversConnection
from service.adapters.postgres.moves.setting_aside import rows_of

BATCH = 2000
ALLOW_AUDIT = "SELECT set_config('relevo.audit_ends_before', '~', true)"  # later than every id


async def remove(mover: MoversConnection, shapes: Mapping[str, Shape], *, residences: Sequence[str]) -> None:
    """Delete it, children first, by the batch, as long as the organisation's row there is one of `residences`. Raises
    Unavailable, MoveTaken."""
    for shape in reversed(list(shapes.values())):
        owners: Sequence[str] | None = None
        if shape.belonging.owners is not None:
            found = await mover.fetch(OWNERS[shape.belonging.owners].replace("{org}", mover.org_id))
            owners = [row[0] for row in found]
        deleted = BATCH
        while deleted == BATCH:
            async with mover.transaction(residences=residences) as connection:
                await connection.execute(ALLOW_AUDIT)
                deleted = rows_of(await connection.execute(shape.remove(mover.org_id), owners, BATCH))
