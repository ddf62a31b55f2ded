"""Sources in PostgreSQL, with their origins encrypted: for those who manage them, and for those who read them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import asyncpg
import orjson
import structlog
from sqlalchemy import Row, delete, func, insert, select, update

from service.adapters.machine.vault import VaultLocked
from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.database import unavailable_when_lost
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.adapters.postgres.server.wakeups import POLL_INTERVAL_S, Bell
from service.application.ports.machine import Vault
from service.application.ports.pages import Page, PageRequest
from service.application.ports.sources import OpenedSource
from service.domain.errors import NotFound
from service.domain.ids import OrgId, SourceId
from service.domain.sources import (
    FORGOTTEN_AFTER,
    MAX_FAULTS,
    Origin,
    ReaderReport,
    Reading,
    Source,
    SourceFault,
    SourceKind,
    origin_of,
)

_table, _reader, _fault = tables.source, tables.source_reader, tables.source_fault
_plain = [column for column in _table.c if column.name != "sealed"]
_statements = beside(__name__)
ENABLED = _statements["enabled"]
REPORT = _statements["report"]
REFUSE = _statements["refuse"]
DROP_OLDEST = _statements["drop_oldest"]

_log = structlog.stdlib.get_logger("relevo.sources")


class PostgresSources:
    """Fulfils `ports.SourceRepository`."""

    def __init__(self, transaction: Transaction, vault: Vault) -> None:
        self._transaction = transaction
        self._vault = vault

    async def get(self, org_id: OrgId, source_id: str, *, lock: bool = False) -> Source | None:
        """The organisation's source with this id."""
        statement = select(*_plain).where(_table.c.org_id == org_id, _table.c.id == source_id)
        row = (await self._transaction.execute(statement.with_for_update() if lock else statement)).first()
        return _source(row) if row else None

    async def page(self, org_id: OrgId, page: PageRequest) -> Page[Source]:
        """Sources by id."""
        statement = keyset(select(*_plain).where(_table.c.org_id == org_id), _table.c.id, page)
        rows = (await self._transaction.execute(statement)).all()
        return page_of(rows, page, _source)

    async def add(self, source: Source, origin: Origin) -> None:
        """Store it, if this transaction commits."""
        values = {**_columns(source), "sealed": self._sealed(origin)}
        await self._transaction.execute(insert(_table).values(values))
        self._transaction.sources_changed()

    async def replace(self, source: Source, origin: Origin | None) -> None:
        """Without an `origin` the stored one stays. NotFound when it was deleted meanwhile."""
        values = _columns(source) | ({} if origin is None else {"sealed": self._sealed(origin)})
        statement = update(_table).where(*_is_this(source)).values(values).returning(_table.c.id)
        if (await self._transaction.execute(statement)).first() is None:
            raise NotFound
        self._transaction.sources_changed()

    async def delete(self, source: Source) -> None:
        """Delete it with its faults."""
        await self._transaction.execute(delete(_table).where(*_is_this(source)))
        self._transaction.sources_changed()

    async def has(self, org_id: OrgId, *, at_least: int) -> bool:
        """Whether the organisation has at least this many."""
        statement = select(func.count()).select_from(_table).where(_table.c.org_id == org_id)
        return int((await self._transaction.execute(statement)).scalar_one()) >= at_least

    async def reports(self, source_ids: Sequence[SourceId]) -> Mapping[SourceId, Sequence[ReaderReport]]:
        """What processes told of their reading of each."""
        statement = select(_reader).where(_reader.c.source_id.in_(source_ids))
        told: defaultdict[SourceId, list[ReaderReport]] = defaultdict(list)
        for row in (await self._transaction.execute(statement)).all():
            told[row.source_id].append(_report(row))
        return told

    async def faults(self, source_id: SourceId, page: PageRequest) -> Page[SourceFault]:
        """Refused messages by id, which is by time."""
        statement = keyset(select(_fault).where(_fault.c.source_id == source_id), _fault.c.id, page)
        return page_of((await self._transaction.execute(statement)).all(), page, _fault_of)

    def _sealed(self, origin: Origin) -> bytes:
        return self._vault.seal(orjson.dumps(asdict(origin)))


class PostgresSourceLedger:
    """Fulfils `ports.SourceLedger`."""

    def __init__(self, pool: asyncpg.Pool, vault: Vault, bell: Bell, *, poll: float = POLL_INTERVAL_S) -> None:
        self._pool = pool
        self._vault = vault
        self._bell = bell
        self._poll = poll

    async def enabled(self) -> list[OpenedSource]:
        """Every source to be read, of all organisations. One whose credentials no key decrypts is left out."""
        self._bell.forget()
        with unavailable_when_lost():
            rows = await self._pool.fetch(*ENABLED())
        opened = [self._opened(row) for row in rows]
        return [each for each in opened if each is not None]

    async def report(self, source_id: SourceId, report: ReaderReport) -> None:
        """Store what a process tells, in the place of what it told before."""
        with unavailable_when_lost():
            await self._pool.execute(
                *REPORT(
                    source_id=source_id,
                    reader=report.reader,
                    state=str(report.state),
                    reason=report.reason,
                    lag=report.lag,
                    seen_at=report.seen_at,
                    forgotten_after=FORGOTTEN_AFTER,
                )
            )

    async def refuse(self, source_id: SourceId, faults: Sequence[SourceFault]) -> None:
        """Store refused messages, each once by its position, and drop the oldest ones beyond the limit."""
        columns = {
            "ids": [fault.id for fault in faults],
            "positions": [fault.position for fault in faults],
            "applications": [fault.application for fault in faults],
            "types": [fault.event_type for fault in faults],
            "event_ids": [fault.event_id for fault in faults],
            "codes": [fault.code for fault in faults],
            "details": [fault.detail for fault in faults],
            "created_ats": [fault.created_at for fault in faults],
        }
        with unavailable_when_lost():
            await self._pool.execute(*REFUSE(source_id=source_id, **columns))
            await self._pool.execute(*DROP_OLDEST(source_id=source_id, most=MAX_FAULTS))

    async def changed(self) -> None:
        """Wait until sources may have changed, for some seconds at most."""
        await self._bell.wait(self._poll)

    def _opened(self, row: asyncpg.Record) -> OpenedSource | None:
        try:
            said = orjson.loads(self._vault.open(row["sealed"]))
        except VaultLocked as error:
            _log.error("source.locked", source_id=row["id"], reason=str(error))
            return None
        columns = {name: value for name, value in row.items() if name != "sealed"}
        columns["place"] = orjson.loads(row["place"])
        return OpenedSource(source=_source_of(columns), origin=origin_of(SourceKind(row["kind"]), said))


def _source(row: Row[Any]) -> Source:
    return _source_of({column.name: getattr(row, column.name) for column in _plain})


def _source_of(columns: Mapping[str, Any]) -> Source:
    return Source(**{**columns, "kind": SourceKind(columns["kind"])})


def _columns(source: Source) -> dict[str, Any]:
    return {column.name: getattr(source, column.name) for column in _plain}


def _is_this(source: Source) -> tuple[Any, ...]:
    return _table.c.id == source.id, _table.c.org_id == source.org_id


def _report(row: Row[Any]) -> ReaderReport:
    return ReaderReport(
        reader=row.reader, state=Reading(row.state), reason=row.reason, lag=row.lag, seen_at=row.seen_at
    )


def _fault_of(row: Row[Any]) -> SourceFault:
    return SourceFault(**{column.name: getattr(row, column.name) for column in _fault.c if column.name != "source_id"})
