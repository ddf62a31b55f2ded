"""Sealing what is kept anew under the vault's first key, so that the keys behind it can be given up.

One row at a time, and only if it is still what was read: nothing that serves meanwhile waits or is overwritten. What
was done stays done, so a run that is killed is continued by the next one.
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
    """A column whose bytes the vault has sealed, and the key of its table."""

    table: str
    key: str
    column: str


SEALED = (
    Sealed(table="endpoint", key="id", column="secrets"),
    Sealed(table="endpoint", key="id", column="headers"),
    Sealed(table="idempotency_key", key="scope", column="body"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealing:
    """What became of the values that were not under the first key."""

    resealed: int
    unreadable: int


async def reseal(connection: asyncpg.Connection, vault: AesVault) -> Resealing:
    """Bring every sealed value under the first key. What no key opens is left as it is, logged and counted."""
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
    """1, or 0 for a value that somebody has changed since it was read, and sealed anew by that."""
    statement = f"UPDATE {sealed.table} SET {sealed.column} = $3 WHERE {sealed.key} = $1 AND {sealed.column} = $2"
    done: str = await connection.execute(statement, key, old, new)
    return int(done.removeprefix("UPDATE "))


def _shown(key: str | bytes) -> str:
    return key if isinstance(key, str) else key.hex()
