"""Which processes are at work on a database, and whether two addresses lead to one, by PostgreSQL's advisory locks.

Each process holds a lock on a connection of its own. PostgreSQL lets go of it when the connection ends, however the
process ended.
"""

import secrets

import asyncpg

ROLES = ("serve", "worker")  # a lock's second number is the place here

# Advisory locks of two numbers, which nothing else of ours takes.
PRESENCE = 0x52454C50  # "RELP"
_APPEAR = "SELECT pg_try_advisory_lock_shared($1, $2)"


async def appear(connection: asyncpg.Connection, role: str) -> None:
    """Be seen as a process of this role while the connection lasts; it must be a direct one."""
    await connection.execute(_APPEAR, PRESENCE, ROLES.index(role))


async def are_one(some: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    """Whether both lead to one database: what one of them has locked, the other cannot lock."""
    key = secrets.randbits(62)
    await some.execute("SELECT pg_advisory_lock($1)", key)
    try:
        return not await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", key)
    finally:
        await some.execute("SELECT pg_advisory_unlock($1)", key)
