"""Triggers that list what changes of an organisation, by statement, in the transaction that changes it.

They exist only while an organisation is copied. To make or drop one takes a lock on the table for an instant; it is
waited for shortly only, since all later statements on the table wait behind it.
"""

import asyncio
from collections.abc import Iterable, Sequence

import asyncpg

from service.adapters.postgres.moves.columns import Shape
from service.adapters.postgres.moves.connection import MoversConnection

LOCK_TIMEOUT = "100ms"
RETRY_DELAY_S = 0.2
EVENTS = {"insert": "NEW", "update": "NEW", "delete": "OLD"}

_FUNCTION = """
CREATE OR REPLACE FUNCTION tenant_change_of_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tenant_change (org_id, belonging, key)
    SELECT '{org}', '{table}', ARRAY[{key}]::text[] FROM changed c WHERE {mine};
    RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER tenant_change_by_{event} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION tenant_change_of_{table}()
"""
_DROP_TRIGGER = "DROP TRIGGER IF EXISTS tenant_change_by_{event} ON {table}"
_DROP_FUNCTION = "DROP FUNCTION IF EXISTS tenant_change_of_{table}()"
_TRIGGERS = """
SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgname LIKE 'tenant\\_change\\_by\\_%'
"""


async def watch(mover: MoversConnection, shapes: Iterable[Shape]) -> None:
    """List every change of the organisation's rows from now on. Raises Unavailable, MoveTaken."""
    for shape in shapes:
        of = shape.belonging
        if of.copied:
            key = ", ".join(f"c.{name}::text" for name in of.key)
            function = _FUNCTION.format(table=of.table, org=mover.org_id, key=key, mine=shape.mine(mover.org_id))
            triggers = [_TRIGGER.format(table=of.table, event=event, rows=rows) for event, rows in EVENTS.items()]
            await _change(mover, [function, *triggers])


async def unwatch(mover: MoversConnection) -> None:
    """List nothing more, and forget what is listed. Raises Unavailable, MoveTaken."""
    for table in sorted({row["relname"] for row in await mover.fetch(_TRIGGERS)}):
        drops = [_DROP_TRIGGER.format(table=table, event=event) for event in EVENTS]
        await _change(mover, [*drops, _DROP_FUNCTION.format(table=table)])
    async with mover.transaction() as connection:
        await connection.execute("DELETE FROM tenant_change WHERE org_id = $1", mover.org_id)


async def _change(mover: MoversConnection, statements: Sequence[str]) -> None:
    while True:
        try:
            async with mover.transaction() as connection:
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                for statement in statements:
                    await connection.execute(statement)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(RETRY_DELAY_S)
        else:
            return
