"""Which processes are at work on a database. Each holds a lock for it on a connection of its own, and PostgreSQL lets
go of the lock when the connection ends, however the process ended."""

import asyncpg

ROLES = ("serve", "worker")  # a lock's second number is the place here

# Advisory locks of two numbers, which nothing else of ours takes.
PRESENCE = 0x52454C50  # "RELP"
_APPEAR = "SELECT pg_try_advisory_lock_shared($1, $2)"


async def appear(connection: asyncpg.Connection, role: str) -> None:
    """Be seen as a process of this role while the connection lasts; it must be a direct one."""
    await connection.execute(_APPEAR, PRESENCE, ROLES.index(role))
