"""Imports in PostgreSQL, and their refused lines."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import Page, PageRequest
from service.domain.ids import ApplicationId
from service.domain.imports import ImportStatus, LineFault, MessageImport

_table = tables.message_import
_fault = tables.message_import_fault

KEEP_FAULTS = beside(__name__)["keep_faults"]


class PostgresImports:
    """Fulfils `ports.ImportRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def get(self, app_id: ApplicationId, ref: str) -> MessageImport | None:
        """The import with this id or file id."""
        statement = select(_table).where(_table.c.app_id == app_id, or_(_table.c.id == ref, _table.c.file_id == ref))
        row = (await self._transaction.execute(statement)).first()
        return _import(row) if row else None

    async def page(self, app_id: ApplicationId, page: PageRequest) -> Page[MessageImport]:
        """Imports by id."""
        statement = select(_table).where(_table.c.app_id == app_id)
        result = await self._transaction.execute(keyset(statement, _table.c.id, page))
        return page_of(result.all(), page, _import)

    async def start(self, new: MessageImport) -> MessageImport:
        """Store a new import, or restart the one of the same file."""
        again = asdict(new.begun_again(at=new.updated_at))
        kept = {name: value for name, value in again.items() if name not in {"id", "created_at"}}
        statement = insert(_table).values(asdict(new))
        statement = statement.on_conflict_do_update(index_elements=[_table.c.app_id, _table.c.file_id], set_=kept)
        row = (await self._transaction.execute(statement.returning(_table))).one()
        await self._transaction.execute(delete(_fault).where(_fault.c.import_id == row.id))
        return _import(row)

    async def keep(self, progress: MessageImport, faults: Sequence[LineFault]) -> bool:
        """Store progress and newly refused lines; False when another request has taken the import over."""
        statement = update(_table).where(_table.c.app_id == progress.app_id, _table.c.id == progress.id)
        statement = statement.where(_table.c.sending == progress.sending).values(asdict(progress))
        kept = (await self._transaction.execute(statement.returning(_table.c.id))).first() is not None
        if kept and faults:
            await self._transaction.execute_driver(
                *KEEP_FAULTS(
                    id=progress.id,
                    lines=[fault.line for fault in faults],
                    codes=[fault.code for fault in faults],
                    details=[fault.detail for fault in faults],
                )
            )
        return kept

    async def faults(self, app_id: ApplicationId, import_id: str, page: PageRequest) -> Page[LineFault]:
        """Refused lines by line number; `page.after` is a line number."""
        upwards = not page.backwards
        statement = (
            select(_fault)
            .join(_table, _table.c.id == _fault.c.import_id)
            .where(_table.c.app_id == app_id, _fault.c.import_id == import_id)
            .order_by(_fault.c.line.asc() if upwards else _fault.c.line.desc())
            .limit(page.limit + 1)
        )
        if page.after is not None:
            line = int(page.after)
            statement = statement.where(_fault.c.line > line if upwards else _fault.c.line < line)
        result = await self._transaction.execute(statement)
        return page_of(result.all(), page, lambda row: LineFault(line=row.line, code=row.code, detail=row.detail))


def _import(row: Row[Any]) -> MessageImport:
    return MessageImport(
        id=row.id,
        org_id=row.org_id,
        app_id=row.app_id,
        file_id=row.file_id,
        sending=row.sending,
        status=ImportStatus(row.status),
        lines=row.lines,
        accepted=row.accepted,
        repeated=row.repeated,
        refused=row.refused,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
