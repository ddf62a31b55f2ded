"""Event types in PostgreSQL."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Row,
    Select,
    Text,
    any_,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres.repositories.pages import keyset, page_of, within_bytes
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import Page, PageRequest
from service.domain.errors import EventTypeExists, NotFound
from service.domain.event_types import EventType
from service.domain.ids import OrgId

_table = tables.event_type

_statements = beside(__name__)
PUT, ARCHIVE = _statements["put"], _statements["archive"]


class PostgresEventTypes:
    """Fulfils `ports.EventTypeRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def get(self, org_id: OrgId, name: str, *, lock: bool = False) -> EventType | None:
        """The event type of that name, archived or not."""
        statement = select(_table).where(_table.c.org_id == org_id, _table.c.name == name)
        result = await self._transaction.execute(statement.with_for_update() if lock else statement)
        row = result.first()
        return _event_type(row) if row else None

    async def page(
        self,
        org_id: OrgId,
        page: PageRequest,
        *,
        include_archived: bool,
        flags: Collection[str] | None = None,
        with_content: bool = True,
    ) -> Page[EventType]:
        """A page by name, bounded in bytes; with `flags` only those that need no feature flag, or one of these."""
        statement = _select(with_content=with_content).where(_table.c.org_id == org_id)
        if not include_archived:
            statement = statement.where(_table.c.archived.is_(False))
        if flags is not None:
            one_of_them = _table.c.feature_flags.op("&&")(cast(sorted(flags), ARRAY(Text)))
            statement = statement.where(or_(_table.c.feature_flags.is_(None), one_of_them))
        found = keyset(statement, _table.c.name, page)
        if with_content:
            found = within_bytes(found, _stored_bytes, "name", page)
        result = await self._transaction.execute(found)
        return page_of(result.all(), page, _event_type)

    async def named(self, org_id: OrgId, names: Sequence[str], *, lock: bool = False) -> Page[EventType]:
        """The event types with these names, archived or not, by name; as many as a page's size in bytes allows."""
        page = PageRequest(limit=len(names), ascending=True)
        wanted = _table.c.name == any_(cast(list(names), ARRAY(Text)))
        statement = keyset(select(_table).where(_table.c.org_id == org_id, wanted), _table.c.name, page)
        found = within_bytes(statement.with_for_update() if lock else statement, _stored_bytes, "name", page)
        return page_of((await self._transaction.execute(found)).all(), page, _event_type)

    async def unknown(self, org_id: OrgId, names: Sequence[str]) -> list[str]:
        """The names for which no event type exists that is not archived, in order."""
        statement = select(_table.c.name).where(
            _table.c.org_id == org_id, _table.c.name.in_(names), _table.c.archived.is_(False)
        )
        known = set((await self._transaction.execute(statement)).scalars())
        return [name for name in names if name not in known]

    async def add(self, event_type: EventType) -> None:
        """Replaces an archived one; EventTypeExists when one that is not archived has the name."""
        statement = insert(_table).values(_columns(event_type))
        statement = statement.on_conflict_do_update(
            index_elements=[_table.c.org_id, _table.c.name],
            set_=_columns(event_type),
            where=_table.c.archived,
        )
        if (await self._transaction.execute(statement.returning(_table.c.name))).first() is None:
            raise EventTypeExists

    async def replace(self, event_type: EventType) -> None:
        """NotFound when it was deleted meanwhile."""
        statement = update(_table).where(*_is_this(event_type)).values(_columns(event_type)).returning(_table.c.name)
        if (await self._transaction.execute(statement)).first() is None:
            raise NotFound

    async def delete(self, event_type: EventType) -> None:
        """Remove it for good."""
        await self._transaction.execute(delete(_table).where(*_is_this(event_type)))

    async def put(self, org_id: OrgId, event_types: Sequence[EventType]) -> None:
        """Create or replace them; existing ones keep their `created_at`. No name may occur twice."""
        values = {
            "names": [each.name for each in event_types],
            "descriptions": [each.description for each in event_types],
            "archived": [each.archived for each in event_types],
            "deprecated": [each.deprecated for each in event_types],
            "schemas": [each.schemas for each in event_types],
            "flags": [None if each.feature_flags is None else json.dumps(each.feature_flags) for each in event_types],
            "groups": [each.group_name for each in event_types],
            "validated": [each.validate_payloads for each in event_types],
            "created": [each.created_at for each in event_types],
            "updated": [each.updated_at for each in event_types],
        }
        await self._transaction.execute_driver(*PUT(org=org_id, **values))

    async def archive(self, org_id: OrgId, names: Sequence[str], *, at: datetime) -> None:
        """Archive the event types with these names."""
        await self._transaction.execute_driver(*ARCHIVE(org=org_id, names=list(names), at=at))


def _select(*, with_content: bool) -> Select[Any]:
    """The columns that `_event_type` reads; without content, schemas are not read."""
    said = [column for column in _table.c if column is not _table.c.schemas]
    return select(*said, _table.c.schemas if with_content else literal(None).label("schemas"))


def _stored_bytes(rows: FromClause) -> ColumnElement[int]:
    return func.coalesce(func.octet_length(cast(rows.c.schemas, Text)), 0)


def _is_this(event_type: EventType) -> tuple[Any, ...]:
    return _table.c.org_id == event_type.org_id, _table.c.name == event_type.name


def _columns(event_type: EventType) -> dict[str, Any]:
    return {
        "org_id": event_type.org_id,
        "name": event_type.name,
        "description": event_type.description,
        "archived": event_type.archived,
        "deprecated": event_type.deprecated,
        "schemas": event_type.schemas,
        "feature_flags": event_type.feature_flags,
        "group_name": event_type.group_name,
        "validate_payloads": event_type.validate_payloads,
        "created_at": event_type.created_at,
        "updated_at": event_type.updated_at,
    }


def _event_type(row: Row[Any]) -> EventType:
    return EventType(
        org_id=row.org_id,
        name=row.name,
        description=row.description,
        archived=row.archived,
        deprecated=row.deprecated,
        schemas=row.schemas,
        feature_flags=tuple(row.feature_flags) if row.feature_flags is not None else None,
        group_name=row.group_name,
        validate_payloads=row.validate_payloads,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
