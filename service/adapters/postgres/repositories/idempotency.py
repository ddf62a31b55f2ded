"""First answers by idempotency key in PostgreSQL, for every POST except that of messages, which the intake handles."""

from typing import Any

import asyncpg
from sqlalchemy import Row, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.machine import Vault
from service.application.ports.repositories import StoredResponse
from service.domain.errors import KeyReused, StillRunning
from service.domain.idempotency import KEYS_KEPT, IdempotencyKey

LOCK_TIMEOUT = "2s"

_table = tables.idempotency_key


class PostgresIdempotency:
    """Fulfils `ports.IdempotencyRepository`. Answers are encrypted, since some contain a secret."""

    def __init__(self, transaction: Transaction, vault: Vault) -> None:
        self._transaction = transaction
        self._vault = vault

    async def claim(self, key: IdempotencyKey) -> StoredResponse | None:
        """Claim the key: None if it is ours now, else the first answer. Raises KeyReused for another body,
        StillRunning."""
        if await self._take(key):
            return None
        statement = select(_table).where(_table.c.scope == key.scope)
        first = (await self._transaction.execute(statement)).one()
        return self._answer(first, key)

    async def keep(self, key: IdempotencyKey, response: StoredResponse) -> None:
        """Store the answer, if this transaction commits."""
        answer = {"status": response.status, "body": self._vault.seal(response.body)}
        await self._transaction.execute(update(_table).where(_table.c.scope == key.scope).values(**answer))

    async def _take(self, key: IdempotencyKey) -> bool:
        # The uncommitted row of the first request blocks this insert, up to the lock timeout; so its answer is awaited.
        await self._transaction.configure(f"lock_timeout = '{LOCK_TIMEOUT}'")
        try:
            taken = (await self._transaction.execute(_claim(key))).first() is not None
        except DBAPIError as error:
            if error.orig is not None and isinstance(error.orig.__cause__, asyncpg.LockNotAvailableError):
                raise StillRunning from error
            raise
        await self._transaction.configure("lock_timeout = 0")
        return taken

    def _answer(self, first: Row[Any], key: IdempotencyKey) -> StoredResponse:
        if not key.repeats(first.fingerprint):
            raise KeyReused
        if first.status is None:
            raise StillRunning
        return StoredResponse(status=first.status, body=self._vault.open(first.body))


def _claim(key: IdempotencyKey) -> Any:
    fresh = {
        "org_id": key.org_id,
        "fingerprint": key.fingerprint,
        "message_id": null(),
        "status": null(),
        "body": null(),
    }
    return (
        insert(_table)
        .values(scope=key.scope, **fresh)
        .on_conflict_do_update(
            index_elements=[_table.c.scope],
            set_=fresh | {"created_at": func.now()},
            where=_table.c.created_at < func.now() - KEYS_KEPT,
        )
        .returning(_table.c.scope)
    )
