"""One transaction, the repositories that share it, and the messages of our own that it owes."""

from typing import Protocol

from service.application.ports.background_tasks import BackgroundTaskRepository, ContentRepository, ReplayRepository
from service.application.ports.repositories import (
    ApplicationRepository,
    AuditRepository,
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
from service.domain.messages import NewMessage


class Outbox(Protocol):
    """Messages of Relevo's own, owed in the same transaction as what they tell of."""

    async def send(self, message: NewMessage) -> None:
        """Owe it to whoever wants it; nothing happens when the organisation has no operational endpoints."""


class UnitOfWork(Protocol):
    """One transaction and the repositories that share it. The edge commits it, nobody else."""

    @property
    def applications(self) -> ApplicationRepository: ...
    @property
    def endpoints(self) -> EndpointRepository: ...
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
    def audit(self) -> AuditRepository: ...
    @property
    def outbox(self) -> Outbox: ...

    async def commit(self) -> None:
        """Make everything last, or raise. Unavailable when the database was lost."""

    async def rollback(self) -> None: ...
