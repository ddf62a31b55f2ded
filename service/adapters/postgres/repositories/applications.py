"""Applications in PostgreSQL."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction, conflict_when_taken
from service.application.ports.pages import ApplicationFilter, Page, PageRequest
from service.application.ports.repositories import EVERY_APPLICATION
from service.domain import ids
from service.domain.applications import Application
from service.domain.errors import Conflict, NotFound
from service.domain.ids import OrgId

_table = tables.application
_TAKEN = "An application with that id or uid already exists"


class PostgresApplications:
    """Fulfils `ports.ApplicationRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def get(self, org_id: OrgId, ref: str, *, lock: bool = False) -> Application | None:
        """The live application with this id or uid."""
        # A uid never begins with the prefix of an id, so one column decides.
        key = _table.c.id if ref.startswith(ids.APPLICATION) else _table.c.uid
        statement = select(_table).where(_table.c.org_id == org_id, key == ref, _table.c.deleted_at.is_(None))
        result = await self._transaction.execute(statement.with_for_update() if lock else statement)
        row = result.first()
        return _application(row) if row else None

    async def page(
        self, org_id: OrgId, page: PageRequest, *, left_out: ApplicationFilter = EVERY_APPLICATION
    ) -> Page[Application]:
        """Live applications by id."""
        statement = select(_table).where(_table.c.org_id == org_id, _table.c.deleted_at.is_(None))
        if left_out.without_endpoints:
            statement = statement.where(_has_endpoints())
        if left_out.all_disabled:
            statement = statement.where(or_(~_has_endpoints(), _has_endpoints(tables.endpoint.c.disabled.is_(False))))
        result = await self._transaction.execute(keyset(statement, _table.c.id, page))
        return page_of(result.all(), page, _application)

    async def add(self, application: Application) -> None:
        """Conflict when the uid is taken."""
        statement = insert(_table).values(_columns(application)).on_conflict_do_nothing().returning(_table.c.id)
        if (await self._transaction.execute(statement)).first() is None:
            raise Conflict(_TAKEN)

    async def replace(self, application: Application) -> None:
        """Conflict when the uid is taken, NotFound when it was deleted meanwhile."""
        with conflict_when_taken(_TAKEN):
            result = await self._transaction.execute(
                update(_table).where(*_is_this(application)).values(_columns(application)).returning(_table.c.id)
            )
        if result.first() is None:
            raise NotFound

    async def delete(self, application: Application, *, at: datetime) -> None:
        """Mark it and its endpoints as deleted, and free the uids; delete its ordered destinations."""
        gone = {"deleted_at": at, "uid": None}
        endpoint = tables.endpoint
        await self._transaction.execute(update(_table).where(*_is_this(application)).values(gone))
        await self._transaction.execute(
            update(endpoint).where(endpoint.c.app_id == application.id, endpoint.c.deleted_at.is_(None)).values(gone)
        )
        destination = tables.destination
        await self._transaction.execute(delete(destination).where(destination.c.app_id == application.id))


def _has_endpoints(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    endpoint = tables.endpoint
    return exists().where(endpoint.c.app_id == _table.c.id, endpoint.c.deleted_at.is_(None), *conditions)


def _is_this(application: Application) -> tuple[Any, ...]:
    return _table.c.id == application.id, _table.c.org_id == application.org_id, _table.c.deleted_at.is_(None)


def _columns(application: Application) -> dict[str, Any]:
    return {
        "id": application.id,
        "org_id": application.org_id,
        "uid": application.uid,
        "name": application.name,
        "throttle_rate": application.throttle_rate,
        "metadata": application.metadata,
        "created_at": application.created_at,
        "updated_at": application.updated_at,
    }


def _application(row: Row[Any]) -> Application:
    return Application(
        id=row.id,
        org_id=row.org_id,
        uid=row.uid,
        name=row.name,
        throttle_rate=row.throttle_rate,
        metadata=row.metadata,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
