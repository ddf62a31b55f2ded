"""The unit of work: one transaction of a session, and the repositories that share it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from service.adapters.postgres.queue.outbox import PostgresOutbox
from service.adapters.postgres.queue.replays import PostgresReplays
from service.adapters.postgres.repositories.applications import PostgresApplications
from service.adapters.postgres.repositories.audit import PostgresAudit
from service.adapters.postgres.repositories.background_tasks import PostgresBackgroundTasks
from service.adapters.postgres.repositories.brands import PostgresBrands
from service.adapters.postgres.repositories.console_sessions import PostgresConsoleSessions
from service.adapters.postgres.repositories.contents import PostgresContents
from service.adapters.postgres.repositories.deliveries import PostgresDeliveries
from service.adapters.postgres.repositories.destinations import PostgresDestinations
from service.adapters.postgres.repositories.endpoints import PostgresEndpoints
from service.adapters.postgres.repositories.event_types import PostgresEventTypes
from service.adapters.postgres.repositories.examples import PostgresExamples
from service.adapters.postgres.repositories.idempotency import PostgresIdempotency
from service.adapters.postgres.repositories.imports import PostgresImports
from service.adapters.postgres.repositories.installation import PostgresInstallation
from service.adapters.postgres.repositories.messages import PostgresMessages
from service.adapters.postgres.repositories.revocations import PostgresRevocations, RevocationsAtHome
from service.adapters.postgres.repositories.searches import PostgresSearches
from service.adapters.postgres.repositories.sources import PostgresSources
from service.adapters.postgres.repositories.statistics import PostgresStatistics
from service.adapters.postgres.repositories.tokens import PostgresOrganisationTokens
from service.adapters.postgres.server.residence import Residence
from service.adapters.postgres.server.transaction import Transaction
from service.adapters.postgres.server.wakeups import Wakeups
from service.application.ports.machine import Vault
from service.application.ports.repositories import RevocationRepository

Sessions = Callable[[], AbstractAsyncContextManager[AsyncSession]]


class PostgresUnitOfWork:
    """Fulfils `ports.UnitOfWork`. Nothing is sent to PostgreSQL before the first call of a repository.

    What becomes due is announced by `wakeups` after the commit. Where there are several databases, `residence` says
    whose it is, and `home` opens sessions in the one that is home, if this is another.
    """

    def __init__(
        self,
        session: AsyncSession,
        vault: Vault,
        wakeups: Wakeups | None = None,
        *,
        residence: Residence | None = None,
        home: Sessions | None = None,
    ) -> None:
        self._transaction = Transaction(session, wakeups, residence)
        self.applications = PostgresApplications(self._transaction)
        self.endpoints = PostgresEndpoints(self._transaction, vault)
        self.destinations = PostgresDestinations(self._transaction, vault)
        self.event_types = PostgresEventTypes(self._transaction)
        self.messages = PostgresMessages(self._transaction)
        self.imports = PostgresImports(self._transaction)
        self.deliveries = PostgresDeliveries(self._transaction)
        self.idempotency = PostgresIdempotency(self._transaction, vault)
        self.background_tasks = PostgresBackgroundTasks(self._transaction)
        self.replays = PostgresReplays(self._transaction)
        self.contents = PostgresContents(self._transaction)
        self.statistics = PostgresStatistics(self._transaction)
        self.examples = PostgresExamples(self._transaction)
        self.revocations: RevocationRepository = (
            PostgresRevocations(self._transaction) if home is None else RevocationsAtHome(home)
        )
        self.tokens = PostgresOrganisationTokens(self._transaction)
        self.brands = PostgresBrands(self._transaction)
        self.sources = PostgresSources(self._transaction, vault)
        self.console_sessions = PostgresConsoleSessions(self._transaction)
        self.searches = PostgresSearches(self._transaction)
        self.installation = PostgresInstallation(self._transaction)
        self.audit = PostgresAudit(self._transaction)
        self.outbox = PostgresOutbox(self._transaction)

    async def commit(self) -> None:
        """Commit. Raises Unavailable when the database was lost."""
        await self._transaction.commit()

    async def rollback(self) -> None:
        """Undo everything."""
        await self._transaction.rollback()


@asynccontextmanager
async def open_unit_of_work(
    sessions: Sessions,
    vault: Vault,
    wakeups: Wakeups | None = None,
    *,
    residence: Residence | None = None,
    home: Sessions | None = None,
) -> AsyncIterator[PostgresUnitOfWork]:
    """A unit of work outside of requests: committed when the block ends, rolled back when it raises."""
    async with sessions() as session:
        work = PostgresUnitOfWork(session, vault, wakeups, residence=residence, home=home)
        try:
            yield work
            await work.commit()
        except BaseException:
            await work.rollback()
            raise
