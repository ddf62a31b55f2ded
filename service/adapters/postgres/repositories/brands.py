"""The brands of organisations in PostgreSQL."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction
from service.domain.brands import Brand
from service.domain.ids import OrgId

_table = tables.portal_brand


class PostgresBrands:
    """Fulfils `ports.BrandRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def get(self, org_id: OrgId) -> Brand | None:
        """The organisation's brand."""
        row = (await self._transaction.execute(select(_table).where(_table.c.org_id == org_id))).first()
        return None if row is None else Brand(name=row.name, logo_url=row.logo_url, accent=row.accent)

    async def put(self, org_id: OrgId, brand: Brand, *, at: datetime) -> None:
        """Store it, or replace the one that is there."""
        values = {"name": brand.name, "logo_url": brand.logo_url, "accent": brand.accent, "updated_at": at}
        statement = insert(_table).values(org_id=org_id, **values)
        await self._transaction.execute(statement.on_conflict_do_update(index_elements=["org_id"], set_=values))

    async def delete(self, org_id: OrgId) -> None:
        """Delete it, if there is one."""
        await self._transaction.execute(delete(_table).where(_table.c.org_id == org_id))
