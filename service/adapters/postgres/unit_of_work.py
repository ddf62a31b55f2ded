"""One transaction of a session, and the repositories that share it."""

from sqlalchemy.ext.asyncio import AsyncSession

from service.adapters.postgres.applications import PostgresApplications
from service.adapters.postgres.deliveries import PostgresDeliveries
from service.adapters.postgres.endpoints import PostgresEndpoints
from service.adapters.postgres.event_types import PostgresEventTypes
from service.adapters.postgres.idempotency import PostgresIdempotency
from service.adapters.postgres.messages import PostgresMessages
from service.adapters.postgres.transaction import Transaction
from service.application.ports import Vault


class PostgresUnitOfWork:
    """Fulfils `ports.UnitOfWork`. Nothing is sent to PostgreSQL before a repository is asked for something."""

    def __init__(self, session: AsyncSession, vault: Vault) -> None:
        self._transaction = Transaction(session)
        self.applications = PostgresApplications(self._transaction)
        self.endpoints = PostgresEndpoints(self._transaction, vault)
        self.event_types = PostgresEventTypes(self._transaction)
        self.messages = PostgresMessages(self._transaction)
        self.deliveries = PostgresDeliveries(self._transaction)
        self.idempotency = PostgresIdempotency(self._transaction)

    async def commit(self) -> None:
        """Make everything last, or raise. Unavailable when the database was lost."""
        await self._transaction.commit()

    async def rollback(self) -> None:
        """Undo everything."""
        await self._transaction.rollback()
