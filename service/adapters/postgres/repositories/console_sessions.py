"""The console's sessions in PostgreSQL: a digest of each secret, and the permissions of who signed in."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction
from service.application.access import Caller, Credential
from service.application.ports.console_sessions import ConsoleSession
from service.domain.ids import OrgId

_table = tables.console_session


class PostgresConsoleSessions:
    """Fulfils `ports.ConsoleSessionRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, session: ConsoleSession) -> None:
        """Store it, if this transaction commits."""
        caller, credential = session.caller, session.caller.credential
        values: dict[str, object] = {
            "digest": session.digest,
            "org_id": caller.org_id,
            "app_id": caller.app_id,
            "role": caller.role,
            "capabilities": sorted(caller.capabilities),
            "feature_flags": None if caller.feature_flags is None else sorted(caller.feature_flags),
            "created_at": session.created_at,
            "expires_at": session.expires_at,
        }
        if credential is not None:
            values |= {
                "token_id": credential.id,
                "token_session_id": credential.session_id,
                "token_issued_at": credential.issued_at,
                "token_granted_at": credential.granted_at,
                "token_expires_at": credential.expires_at,
            }
        await self._transaction.execute(insert(_table).values(values))

    async def get(self, org_id: OrgId, digest: bytes, *, now: datetime) -> ConsoleSession | None:
        """None when there is none, or when it has expired."""
        this = _table.c.org_id == org_id, _table.c.digest == digest, _table.c.expires_at > now
        row = (await self._transaction.execute(select(_table).where(*this))).first()
        return None if row is None else _session(row)

    async def delete(self, org_id: OrgId, digest: bytes) -> None:
        """Delete it, if this transaction commits."""
        await self._transaction.execute(delete(_table).where(_table.c.org_id == org_id, _table.c.digest == digest))


def _session(row: Row[Any]) -> ConsoleSession:
    caller = Caller(
        org_id=row.org_id,
        app_id=row.app_id,
        role=row.role,
        capabilities=frozenset(row.capabilities),
        feature_flags=None if row.feature_flags is None else frozenset(row.feature_flags),
        credential=None if row.token_id is None else _credential(row),
    )
    return ConsoleSession(digest=row.digest, caller=caller, created_at=row.created_at, expires_at=row.expires_at)


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        id=row.token_id,
        session_id=row.token_session_id,
        issued_at=row.token_issued_at,
        granted_at=row.token_granted_at,
        expires_at=row.token_expires_at,
    )
