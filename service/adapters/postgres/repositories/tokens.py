"""The listed tokens of organisations in PostgreSQL, without their text."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select, update

from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import Page, PageRequest
from service.domain.ids import OrgId
from service.domain.tokens import OrganisationToken

_table = tables.organisation_token


class PostgresOrganisationTokens:
    """Fulfils `ports.OrganisationTokenRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, token: OrganisationToken) -> None:
        """Store it, if this transaction commits."""
        values = {column.name: getattr(token, column.name) for column in _table.c}
        await self._transaction.execute(insert(_table).values(values))

    async def get(self, org_id: OrgId, ref: str) -> OrganisationToken | None:
        """The organisation's token with this id or digest."""
        is_meant = or_(_table.c.id == ref, _table.c.digest == ref)
        statement = select(_table).where(_table.c.org_id == org_id, is_meant)
        row = (await self._transaction.execute(statement)).first()
        return _token(row) if row else None

    async def page(self, org_id: OrgId, page: PageRequest) -> Page[OrganisationToken]:
        """Tokens by id, which is by time."""
        statement = keyset(select(_table).where(_table.c.org_id == org_id), _table.c.id, page)
        return page_of((await self._transaction.execute(statement)).all(), page, _token)

    async def revoke(self, token: OrganisationToken, *, at: datetime) -> None:
        """Mark it as revoked."""
        this = _table.c.org_id == token.org_id, _table.c.id == token.id, _table.c.revoked_at.is_(None)
        await self._transaction.execute(update(_table).where(*this).values(revoked_at=at))

    async def has(self, org_id: OrgId, *, at_least: int) -> bool:
        """Whether the organisation has at least this many."""
        statement = select(func.count()).select_from(_table).where(_table.c.org_id == org_id)
        return int((await self._transaction.execute(statement)).scalar_one()) >= at_least

    async def forget(self, org_id: OrgId, *, expired_before: datetime) -> None:
        """Delete those that have expired."""
        await self._transaction.execute(
            delete(_table).where(_table.c.org_id == org_id, _table.c.expires_at < expired_before)
        )


def _token(row: Row[Any]) -> OrganisationToken:
    return OrganisationToken(**{column.name: getattr(row, column.name) for column in _table.c})
