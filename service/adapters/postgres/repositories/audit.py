"""The audit trail in PostgreSQL. A trigger of the table refuses every change of its rows."""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, insert, select

from service.adapters.postgres.repositories.pages import keyset, merged, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import AuditFilter, Page, PageRequest
from service.application.ports.repositories import EVERY_EVENT
from service.domain import ids
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

    async def page(self, org_id: OrgId, page: PageRequest, wanted: AuditFilter = EVERY_EVENT) -> Page[AuditEvent]:
        """Events by id, which is by time."""
        statement = select(_table).where(_table.c.org_id == org_id, *_within(wanted))
        if wanted.app_id is not None or wanted.action is not None:
            found = _wanted(org_id, page, wanted)
            statement = statement.join(found, found.c.id == _table.c.id)
        statement = keyset(statement, _table.c.id, page)
        return page_of((await self._transaction.execute(statement)).all(), page, _event)


def _wanted(org_id: OrgId, page: PageRequest, wanted: AuditFilter) -> FromClause:
    """The ids of a page of events of an action or an application. With both, the application's are filtered."""
    events = select(_table.c.id).where(_table.c.org_id == org_id, *_within(wanted))
    if wanted.app_id is None:
        return merged(events, {_table.c.action: [wanted.action]}, _table.c.id, page)
    if wanted.action is not None:
        events = events.where(_table.c.action == wanted.action)
    return merged(events, {_table.c.app_id: [wanted.app_id]}, _table.c.id, page)


def _within(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    bounds = []
    if wanted.before is not None:
        bounds.append(_table.c.id < ids.lowest(ids.AUDIT_EVENT, wanted.before))
    if wanted.after is not None:
        bounds.append(_table.c.id >= ids.lowest(ids.AUDIT_EVENT, wanted.after))
    return bounds


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
