"""Encrypts all stored secrets again with the vault's first key, so that older keys can be removed.

One row at a time, and only if it is unchanged since it was read, so that running servers neither wait nor lose changes.
A killed run is continued by the next one.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import structlog

from service.adapters.machine.vault import AesVault, VaultLocked

BATCH = 200

_log = structlog.stdlib.get_logger("relevo.resealing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A column with bytes sealed by the vault, and the primary key of its table."""

    table: str
    key: str
    column: str


SEALED = (
    Sealed(table="endpoint", key="id", column="secrets"),
    Sealed(table="endpoint", key="id", column="headers"),
    Sealed(table="destination", key="id", column="sealed"),
    Sealed(table="destination", key="id", column="secrets"),
    Sealed(table="idempotency_key", key="scope", column="body"),
    Sealed(table="source", key="id", column="sealed"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealing:
    """The numbers of values that were encrypted again, and of those that no key decrypts."""

    resealed: int
    unreadable: int


async def reseal(connection: asyncpg.Connection, vault: AesVault) -> Resealing:
    """Encrypt every sealed value with the first key. Values that no key decrypts are left, logged and counted."""
    resealed = unreadable = 0
    for sealed in SEALED:
        async for key, old in _stale(connection, sealed, vault):
            try:
                new = vault.seal(vault.open(old))
            except VaultLocked as error:
                unreadable += 1
                _log.warning("resealing.unreadable", table=sealed.table, key=_shown(key), reason=str(error))
                continue
            resealed += await _replace(connection, sealed, key, old=old, new=new)
    return Resealing(resealed=resealed, unreadable=unreadable)


async def _stale(
    connection: asyncpg.Connection, sealed: Sealed, vault: AesVault
) -> AsyncIterator[tuple[str | bytes, bytes]]:
    first = f"""
        SELECT {sealed.key}, {sealed.column} FROM {sealed.table}
        WHERE substr({sealed.column}, 1, length($1::bytea)) <> $1
        ORDER BY {sealed.key} LIMIT {BATCH}
    """
    following = first.replace("ORDER BY", f"AND {sealed.key} > $2 ORDER BY")
    rows = await connection.fetch(first, vault.mark)
    while rows:
        for key, old in rows:
            yield key, old
        rows = await connection.fetch(following, vault.mark, key)


async def _replace(connection: asyncpg.Connection, sealed: Sealed, key: str | bytes, *, old: bytes, new: bytes) -> int:
    """1, or 0 for a value that was changed meanwhile, which has sealed it with the first key."""
    statement = f"UPDATE {sealed.table} SET {sealed.column} = $3 WHERE {sealed.key} = $1 AND {sealed.column} = $2"
    done: str = await connection.execute(statement, key, old, new)
    return int(done.removeprefix("UPDATE "))


def _shown(key: str | bytes) -> str:
    return key if isinstance(key, str) else key.hex()
