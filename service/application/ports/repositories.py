"""The repositories, one for each noun of the product."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.application.ports.pages import (
    ApplicationFilter,
    AttemptFilter,
    AuditFilter,
    MessageFilter,
    Page,
    PageRequest,
)
from service.domain.applications import Application
from service.domain.audit import AuditEvent
from service.domain.brands import Brand
from service.domain.deliveries import Attempt, DeliveryState
from service.domain.endpoints import Endpoint
from service.domain.event_types import EventType
from service.domain.health import EndpointCondition, EndpointStandings, FailingEndpoint
from service.domain.idempotency import IdempotencyKey
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId, OrgId
from service.domain.imports import LineFault, MessageImport
from service.domain.messages import Message, NewMessage
from service.domain.replays import Window
from service.domain.revocations import Revocation
from service.domain.signatures import Secret
from service.domain.statistics import AttemptCounts, HourCounts, Owner, Subscriptions, Usage
from service.domain.tokens import OrganisationToken

EVERY_APPLICATION = ApplicationFilter()
EVERY_EVENT = AuditFilter()


class ApplicationRepository(Protocol):
    """Applications of one organisation. `ref` is an id or a uid; `lock` locks the row until the transaction's end."""

    async def get(self, org_id: OrgId, ref: str, *, lock: bool = False) -> Application | None: ...
    async def page(
        self, org_id: OrgId, page: PageRequest, *, left_out: ApplicationFilter = EVERY_APPLICATION
    ) -> Page[Application]: ...

    async def add(self, application: Application) -> None:
        """Conflict when the uid is taken."""

    async def replace(self, application: Application) -> None:
        """Conflict when the uid is taken, NotFound when it was deleted meanwhile."""

    async def delete(self, application: Application, *, at: datetime) -> None:
        """Mark it and its endpoints as deleted; the uid can be used again."""


class EndpointRepository(Protocol):
    """Endpoints of one application. `ref` is an id or a uid; `lock` locks the row until the transaction's end."""

    async def get(self, app_id: ApplicationId, ref: str, *, lock: bool = False) -> Endpoint | None: ...
    async def page(self, app_id: ApplicationId, page: PageRequest) -> Page[Endpoint]: ...

    async def add(self, endpoint: Endpoint, secrets: Sequence[Secret], headers: dict[str, str]) -> None:
        """Conflict when the uid is taken."""

    async def replace(self, endpoint: Endpoint) -> None:
        """Conflict when the uid is taken, NotFound when it was deleted meanwhile."""

    async def forget_failures(self, endpoint: Endpoint) -> None:
        """Reset its series of failures, after which it would be disabled."""

    async def delete(self, endpoint: Endpoint, *, at: datetime) -> None: ...

    async def secrets(self, endpoint_id: EndpointId, *, lock: bool = False) -> tuple[Secret, ...]:
        """Newest first."""
        ...

    async def headers(self, endpoint_id: EndpointId, *, lock: bool = False) -> dict[str, str]: ...
    async def keep_headers(self, endpoint_id: EndpointId, headers: dict[str, str]) -> None: ...
    async def keep_secrets(self, endpoint_id: EndpointId, secrets: Sequence[Secret]) -> None: ...


class EventTypeRepository(Protocol):
    """Event types of one organisation, by name."""

    async def get(self, org_id: OrgId, name: str, *, lock: bool = False) -> EventType | None: ...
    async def page(
        self,
        org_id: OrgId,
        page: PageRequest,
        *,
        include_archived: bool,
        flags: Collection[str] | None = None,
        with_content: bool = True,
    ) -> Page[EventType]:
        """With `flags` only those that need no feature flag, or one of these; without content, no schemas."""
        ...

    async def named(self, org_id: OrgId, names: Sequence[str], *, lock: bool = False) -> Page[EventType]:
        """The event types with these names, archived or not, by name; as many as a page's size in bytes allows."""
        ...

    async def unknown(self, org_id: OrgId, names: Sequence[str]) -> list[str]:
        """The names for which no event type exists that is not archived, in order."""
        ...

    async def add(self, event_type: EventType) -> None:
        """Replaces an archived one; EventTypeExists when one that is not archived has the name."""

    async def replace(self, event_type: EventType) -> None: ...
    async def delete(self, event_type: EventType) -> None: ...
    async def put(self, org_id: OrgId, event_types: Sequence[EventType]) -> None:
        """Create or replace them; existing ones keep their `created_at`. No name may occur twice."""

    async def archive(self, org_id: OrgId, names: Sequence[str], *, at: datetime) -> None:
        """Archive the event types with these names."""


class MessageRepository(Protocol):
    """Accepted messages. `ref` is an id or an event id."""

    async def get(self, app_id: ApplicationId, ref: str, *, with_content: bool) -> Message | None: ...
    async def page(self, app_id: ApplicationId, page: PageRequest, wanted: MessageFilter) -> Page[Message]: ...
    async def by_ids(self, app_id: ApplicationId, message_ids: Collection[MessageId]) -> Sequence[Message]:
        """The messages with these ids that exist, without payloads."""
        ...


class ImportRepository(Protocol):
    """Imports of one application. `ref` is an import's id or its file id."""

    async def get(self, app_id: ApplicationId, ref: str) -> MessageImport | None: ...
    async def page(self, app_id: ApplicationId, page: PageRequest) -> Page[MessageImport]: ...
    async def start(self, new: MessageImport) -> MessageImport:
        """Store a new import, or restart the one of the same file."""
        ...

    async def keep(self, progress: MessageImport, faults: Sequence[LineFault]) -> bool:
        """Store its progress and newly refused lines; False when another request has taken the import over."""
        ...

    async def faults(self, app_id: ApplicationId, import_id: str, page: PageRequest) -> Page[LineFault]:
        """Refused lines by line number; `page.after` is a line number."""
        ...


class DeliveryRepository(Protocol):
    """Attempts and states of deliveries, and resending."""

    async def attempt(self, app_id: ApplicationId, message_id: MessageId, attempt_id: AttemptId) -> Attempt | None: ...
    async def attempts(self, app_id: ApplicationId, attempt_ids: Collection[AttemptId]) -> Sequence[Attempt]:
        """The attempts with these ids that exist, by id."""
        ...

    async def attempts_by_message(
        self, message: Message, page: PageRequest, wanted: AttemptFilter
    ) -> Page[Attempt]: ...
    async def attempts_by_endpoint(
        self, app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
    ) -> Page[Attempt]: ...
    async def states(self, message: Message, page: PageRequest) -> Page[tuple[Endpoint, DeliveryState]]:
        """The message's endpoints by id, including deleted ones, with the state of each delivery."""
        ...

    async def messages(
        self, app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
    ) -> Page[tuple[Message, DeliveryState]]:
        """The messages that the endpoint was sent or has pending, by message id."""
        ...

    async def resend(self, message: Message, endpoint: Endpoint, *, resend: str, at: datetime) -> None:
        """Queue one manual attempt, identified by `resend`. The scheduled delivery does not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """The answer to the first request under an idempotency key."""

    status: int
    body: bytes


class IdempotencyRepository(Protocol):
    """Answers by idempotency key, stored in the transaction of the request itself."""

    async def claim(self, key: IdempotencyKey) -> StoredResponse | None:
        """Claim the key: None if it is ours now, else the first answer. Raises KeyReused for another body,
        StillRunning."""

    async def keep(self, key: IdempotencyKey, response: StoredResponse) -> None: ...


class StatisticsRepository(Protocol):
    """Counts of attempts by hour, failing endpoints, and event types that endpoints want."""

    async def attempts(self, endpoint: Endpoint, window: Window) -> AttemptCounts: ...
    async def hours(
        self, org_id: OrgId, window: Window, owners: Collection[Owner]
    ) -> Mapping[Owner, Sequence[HourCounts]]:
        """The hours that the window touches and in which something happened, by time: of the organisation, of its
        applications or endpoints, or of some of each. An owner without any is missing."""
        ...

    async def standings(
        self, org_id: OrgId, app_ids: Collection[ApplicationId]
    ) -> Mapping[ApplicationId, EndpointStandings]:
        """How the endpoints of these applications stand; an application without endpoints is missing."""
        ...

    async def applications(self, org_id: OrgId, refs: Collection[str]) -> dict[str, ApplicationId]:
        """The applications with these ids or uids; unknown ones are missing."""
        ...

    async def usage(
        self, org_id: OrgId, page: PageRequest, window: Window, *, among: Collection[ApplicationId] | None
    ) -> Page[Usage]:
        """The number of attempts of each application, by application id."""
        ...

    async def failing(self, org_id: OrgId, *, size: int) -> Sequence[FailingEndpoint]:
        """The failing endpoints, longest failing first."""
        ...

    async def oldest_due(self, org_id: OrgId) -> datetime | None:
        """Since when the organisation's oldest due delivery waits, if it is among the thousand oldest of all; None when
        none of its deliveries is."""
        ...

    async def condition(self, endpoint: Endpoint) -> EndpointCondition:
        """How the endpoint stands now, as all processes see it."""
        ...

    async def subscriptions(self, org_id: OrgId, page: PageRequest) -> Page[Subscriptions]:
        """The event types that the endpoints of each application want, by application id."""
        ...


class ExampleRepository(Protocol):
    """Examples: messages sent to one endpoint while the caller waited."""

    async def keep(self, message: NewMessage, attempt: Attempt, endpoint: Endpoint) -> None:
        """Store the message, its attempt, and the state of its delivery."""

    async def wanted(self, app_id: ApplicationId, event_type: str, channels: Collection[str] | None) -> bool:
        """Whether any endpoint of the application wants such a message."""
        ...


class RevocationRepository(Protocol):
    """Stores revocations of tokens. The verifier of tokens reads them elsewhere."""

    async def add(self, revocation: Revocation) -> bool:
        """False, and nothing is stored, when one with its id exists."""
        ...

    async def has(self, owner: ApplicationId | OrgId, *, at_least: int) -> bool:
        """Whether the application, or the organisation itself, has at least this many revocations."""
        ...

    async def forget(self, app_id: ApplicationId, *, issued_before: datetime) -> None:
        """Delete revocations that a new one covers: those of tokens issued before this time."""


class OrganisationTokenRepository(Protocol):
    """The listed tokens of one organisation, without their text."""

    async def add(self, token: OrganisationToken) -> None: ...
    async def get(self, org_id: OrgId, ref: str) -> OrganisationToken | None:
        """`ref` is an id or a digest."""
        ...

    async def page(self, org_id: OrgId, page: PageRequest) -> Page[OrganisationToken]: ...
    async def revoke(self, token: OrganisationToken, *, at: datetime) -> None: ...
    async def has(self, org_id: OrgId, *, at_least: int) -> bool:
        """Whether the organisation has at least this many listed tokens."""
        ...

    async def forget(self, org_id: OrgId, *, expired_before: datetime) -> None: ...


class BrandRepository(Protocol):
    """The brand of an organisation's portal, one at most."""

    async def get(self, org_id: OrgId) -> Brand | None: ...
    async def put(self, org_id: OrgId, brand: Brand, *, at: datetime) -> None:
        """Store it, or replace the one that is there."""

    async def delete(self, org_id: OrgId) -> None: ...


class AuditRepository(Protocol):
    """The audit trail, which only grows."""

    async def add(self, event: AuditEvent) -> None: ...
    async def page(self, org_id: OrgId, page: PageRequest, wanted: AuditFilter = EVERY_EVENT) -> Page[AuditEvent]: ...
