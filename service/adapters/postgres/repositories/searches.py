"""Search in PostgreSQL: things by their ids alone, and by names that are unique in an application."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from service.adapters.postgres.server.statements import Statement, beside
from service.adapters.postgres.server.transaction import Transaction
from service.domain.ids import ApplicationId, OrgId
from service.domain.searches import Hit, HitKind

_statements = beside(__name__)
ENDPOINT, MESSAGE, ATTEMPT = (_statements[name] for name in ("endpoint", "message", "attempt"))
NAMED = _statements["named"]


class PostgresSearches:
    """Fulfils `ports.SearchRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def endpoint(self, org_id: OrgId, endpoint_id: str, *, app_id: ApplicationId | None) -> Hit | None:
        """The live endpoint with this id."""
        return await self._one(HitKind.ENDPOINT, ENDPOINT, org_id, endpoint_id, app_id)

    async def message(self, org_id: OrgId, message_id: str, *, app_id: ApplicationId | None) -> Hit | None:
        """The message with this id."""
        return await self._one(HitKind.MESSAGE, MESSAGE, org_id, message_id, app_id)

    async def attempt(self, org_id: OrgId, attempt_id: str, *, app_id: ApplicationId | None) -> Hit | None:
        """The attempt with this id."""
        return await self._one(HitKind.ATTEMPT, ATTEMPT, org_id, attempt_id, app_id)

    async def named(
        self, org_id: OrgId, name: str, *, app_id: ApplicationId | None, applications: int, hits: int
    ) -> Sequence[Hit]:
        """Messages with this event id and endpoints with this uid, in the newest applications."""
        wanted = NAMED(org=org_id, app=app_id, name=name, applications=applications, hits=hits)
        rows = await self._transaction.execute_driver(*wanted)
        return [_hit(HitKind(row.kind), row, within=None) for row in rows]

    async def _one(
        self, kind: HitKind, statement: Statement, org_id: OrgId, thing: str, app_id: ApplicationId | None
    ) -> Hit | None:
        rows = await self._transaction.execute_driver(*statement(org=org_id, id=thing, app=app_id))
        row = rows.first()
        return None if row is None else _hit(kind, row, within=row.within)


def _hit(kind: HitKind, row: Row[Any], *, within: str | None) -> Hit:
    return Hit(kind=kind, id=row.id, label=row.label, app_id=row.app_id, app_name=row.app_name, within=within)
