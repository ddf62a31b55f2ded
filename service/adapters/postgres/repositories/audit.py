"""The audit trail in PostgreSQL. A trigger of the table refuses every change of its rows."""

from typing import Any

from sqlalchemy import Row, insert, select

from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import Page, PageRequest
from service.domain.audit import AuditEvent
from service.domain.ids import OrgId

_table = tables.audit_event


class PostgresAudit:
    """Fulfils `ports.AuditRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, event: AuditEvent) -> None:
        """Store it, if this transaction commits."""
        values = {column.name: getattr(event, column.name) for column in _table.c}
        await self._transaction.execute(insert(_table).values(values))

    async def page(self, org_id: OrgId, page: PageRequest) -> Page[AuditEvent]:
        """Events by id, which is by time."""
        statement = keyset(select(_table).where(_table.c.org_id == org_id), _table.c.id, page)
        return page_of((await self._transaction.execute(statement)).all(), page, _event)


def _event(row: Row[Any]) -> AuditEvent:
    return AuditEvent(
        id=row.id,
        org_id=row.org_id,
        action=row.action,
        actor=row.actor,
        role=row.role,
        token_id=row.token_id,
        app_id=row.app_id,
        target=row.target,
        correlation_id=row.correlation_id,
    )
