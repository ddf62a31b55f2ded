"""The unit of work: one transaction, the repositories that share it, and an outbox for our own messages."""

from typing import Protocol

from service.application.ports.background_tasks import BackgroundTaskRepository, ContentRepository, ReplayRepository
from service.application.ports.console_sessions import ConsoleSessionRepository
from service.application.ports.installation import InstallationRepository
from service.application.ports.ordered import DestinationRepository
from service.application.ports.repositories import (
    ApplicationRepository,
    AuditRepository,
    BrandRepository,
    DeliveryRepository,
    EndpointRepository,
    EventTypeRepository,
    ExampleRepository,
    IdempotencyRepository,
    ImportRepository,
    MessageRepository,
    OrganisationTokenRepository,
    RevocationRepository,
    StatisticsRepository,
)
from service.application.ports.searches import SearchRepository
from service.application.ports.sources import SourceRepository
from service.domain.messages import NewMessage


class Outbox(Protocol):
    """Operational webhooks, queued in the transaction of the change that they are about."""

    async def send(self, message: NewMessage) -> None:
        """Queue the message for the operational endpoints that want it; without any, nothing happens."""


class UnitOfWork(Protocol):
    """One transaction and the repositories that share it. Only the edge (API, engine) commits it."""

    @property
    def applications(self) -> ApplicationRepository: ...
    @property
    def endpoints(self) -> EndpointRepository: ...
    @property
    def destinations(self) -> DestinationRepository: ...
    @property
    def event_types(self) -> EventTypeRepository: ...
    @property
    def messages(self) -> MessageRepository: ...
    @property
    def imports(self) -> ImportRepository: ...
    @property
    def deliveries(self) -> DeliveryRepository: ...
    @property
    def idempotency(self) -> IdempotencyRepository: ...
    @property
    def background_tasks(self) -> BackgroundTaskRepository: ...
    @property
    def replays(self) -> ReplayRepository: ...
    @property
    def contents(self) -> ContentRepository: ...
    @property
    def statistics(self) -> StatisticsRepository: ...
    @property
    def examples(self) -> ExampleRepository: ...
    @property
    def revocations(self) -> RevocationRepository: ...
    @property
    def tokens(self) -> OrganisationTokenRepository: ...
    @property
    def brands(self) -> BrandRepository: ...
    @property
    def sources(self) -> SourceRepository: ...
    @property
    def console_sessions(self) -> ConsoleSessionRepository: ...
    @property
    def searches(self) -> SearchRepository: ...
    @property
    def installation(self) -> InstallationRepository: ...
    @property
    def audit(self) -> AuditRepository: ...
    @property
    def outbox(self) -> Outbox: ...

    async def commit(self) -> None:
        """Commit. Raises Unavailable when the database was lost."""

    async def rollback(self) -> None: ...
