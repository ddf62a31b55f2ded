"""What is kept of each noun: applications, endpoints, event types, messages, deliveries and what belongs to them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.application.ports.pages import ApplicationFilter, AttemptFilter, MessageFilter, Page, PageRequest
from service.domain.applications import Application
from service.domain.audit import AuditEvent
from service.domain.deliveries import Attempt, DeliveryState
from service.domain.endpoints import Endpoint
from service.domain.event_types import EventType
from service.domain.health import FailingEndpoint
from service.domain.idempotency import IdempotencyKey
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId, OrgId
from service.domain.imports import LineFault, MessageImport
from service.domain.messages import Message, NewMessage
from service.domain.replays import Window
from service.domain.revocations import Revocation
from service.domain.signatures import Secret
from service.domain.statistics import AttemptCounts, Subscriptions, Usage
from service.domain.tokens import OrganisationToken

EVERY_APPLICATION = ApplicationFilter()


class ApplicationRepository(Protocol):
    """Applications of one organisation. `ref` is an id or a uid; `lock` holds what is read till the end."""

    async def get(self, org_id: OrgId, ref: str, *, lock: bool = False) -> Application | None: ...
    async def page(
        self, org_id: OrgId, page: PageRequest, *, left_out: ApplicationFilter = EVERY_APPLICATION
    ) -> Page[Application]: ...

    async def add(self, application: Application) -> None:
        """Conflict when the uid is taken."""

    async def replace(self, application: Application) -> None:
        """Conflict when the uid is taken, NotFound when it has gone meanwhile."""

    async def delete(self, application: Application, *, at: datetime) -> None:
        """Mark it and its endpoints deleted, and free the uid."""


class EndpointRepository(Protocol):
    """Endpoints of one application. `ref` is an id or a uid; `lock` holds what is read till the end."""

    async def get(self, app_id: ApplicationId, ref: str, *, lock: bool = False) -> Endpoint | None: ...
    async def page(self, app_id: ApplicationId, page: PageRequest) -> Page[Endpoint]: ...

    async def add(self, endpoint: Endpoint, secrets: Sequence[Secret], headers: dict[str, str]) -> None:
        """Conflict when the uid is taken."""

    async def replace(self, endpoint: Endpoint) -> None:
        """Conflict when the uid is taken, NotFound when it has gone meanwhile."""

    async def forget_failures(self, endpoint: Endpoint) -> None:
        """Start the clock of automatic switching-off afresh."""

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
        """With `flags` only those that need no flag or one of these; without content, no schemas."""
        ...

    async def named(self, org_id: OrgId, names: Sequence[str], *, lock: bool = False) -> Page[EventType]:
        """Those of the names, archived or not, by name: the first ones, up to a bounded size."""
        ...

    async def unknown(self, org_id: OrgId, names: Sequence[str]) -> list[str]:
        """Those of the names that are not live event types, in order."""
        ...

    async def add(self, event_type: EventType) -> None:
        """Takes the place of an archived one; EventTypeExists when a live one has the name."""

    async def replace(self, event_type: EventType) -> None: ...
    async def delete(self, event_type: EventType) -> None: ...
    async def put(self, org_id: OrgId, event_types: Sequence[EventType]) -> None:
        """Create them, or say this of those that are there, which stay as old as they are. No name may come twice."""

    async def archive(self, org_id: OrgId, names: Sequence[str], *, at: datetime) -> None:
        """Archive those of the names that are there."""


class MessageRepository(Protocol):
    """Messages that were accepted. `ref` is an id or an event id."""

    async def get(self, app_id: ApplicationId, ref: str, *, with_content: bool) -> Message | None: ...
    async def page(self, app_id: ApplicationId, page: PageRequest, wanted: MessageFilter) -> Page[Message]: ...
    async def by_ids(self, app_id: ApplicationId, message_ids: Collection[MessageId]) -> Sequence[Message]:
        """Those that there are, without their payloads."""
        ...


class ImportRepository(Protocol):
    """Imports of one application's messages. `ref` is an import's id, or its file's."""

    async def get(self, app_id: ApplicationId, ref: str) -> MessageImport | None: ...
    async def page(self, app_id: ApplicationId, page: PageRequest) -> Page[MessageImport]: ...
    async def start(self, new: MessageImport) -> MessageImport:
        """Keep a new import, or begin the one of the same file again."""
        ...

    async def keep(self, progress: MessageImport, faults: Sequence[LineFault]) -> bool:
        """How far it is, and the lines that were refused on the way there; False when the file is being sent again."""
        ...

    async def faults(self, app_id: ApplicationId, import_id: str, page: PageRequest) -> Page[LineFault]:
        """Refused lines by their number; `after` is one."""
        ...


class DeliveryRepository(Protocol):
    """Attempts and the states of deliveries, for reading, and the asking for one more attempt."""

    async def attempt(self, app_id: ApplicationId, message_id: MessageId, attempt_id: AttemptId) -> Attempt | None: ...
    async def attempts(self, app_id: ApplicationId, attempt_ids: Collection[AttemptId]) -> Sequence[Attempt]:
        """Those that there are, by id."""
        ...

    async def attempts_by_message(
        self, message: Message, page: PageRequest, wanted: AttemptFilter
    ) -> Page[Attempt]: ...
    async def attempts_by_endpoint(
        self, app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
    ) -> Page[Attempt]: ...
    async def states(self, message: Message, page: PageRequest) -> Page[tuple[Endpoint, DeliveryState]]:
        """The message's destinations by endpoint id, deleted endpoints included."""
        ...

    async def messages(
        self, app_id: ApplicationId, endpoint_id: EndpointId, page: PageRequest, wanted: AttemptFilter
    ) -> Page[tuple[Message, DeliveryState]]:
        """What the endpoint was sent or is owed, by message id."""
        ...

    async def resend(self, message: Message, endpoint: Endpoint, *, resend: str, at: datetime) -> None:
        """Owe one manual attempt, told from others by `resend`. Nothing that is scheduled changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """The answer a request got the first time."""

    status: int
    body: bytes


class IdempotencyRepository(Protocol):
    """Answers by idempotency key, kept in the same transaction as what they tell of."""

    async def claim(self, key: IdempotencyKey) -> StoredResponse | None:
        """None when the key is ours now. KeyReused on another body; StillRunning when its first request runs on."""

    async def keep(self, key: IdempotencyKey, response: StoredResponse) -> None: ...


class StatisticsRepository(Protocol):
    """What became of attempts, by whole hours, and what endpoints want."""

    async def attempts(self, endpoint: Endpoint, window: Window) -> AttemptCounts: ...
    async def applications(self, org_id: OrgId, refs: Collection[str]) -> dict[str, ApplicationId]:
        """The applications by these ids or uids; those that are unknown are missing."""
        ...

    async def usage(
        self, org_id: OrgId, page: PageRequest, window: Window, *, among: Collection[ApplicationId] | None
    ) -> Page[Usage]:
        """How many attempts were made for each application, by id."""
        ...

    async def failing(self, org_id: OrgId, *, size: int) -> Sequence[FailingEndpoint]:
        """The endpoints that take nothing, those that have failed for longest first."""
        ...

    async def subscriptions(self, org_id: OrgId, page: PageRequest) -> Page[Subscriptions]:
        """What the endpoints of each application want, by id."""
        ...


class ExampleRepository(Protocol):
    """Examples: messages that were sent to one endpoint while somebody waited for the answer."""

    async def keep(self, message: NewMessage, attempt: Attempt, endpoint: Endpoint) -> None:
        """The message, its one attempt, and how it stands."""

    async def wanted(self, app_id: ApplicationId, event_type: str, channels: Collection[str] | None) -> bool:
        """Whether any endpoint would be sent such a message."""
        ...


class RevocationRepository(Protocol):
    """Revocations of tokens. They are read by whoever verifies tokens, not here."""

    async def add(self, revocation: Revocation) -> bool:
        """False, and nothing is kept, when there is one with its id."""
        ...

    async def has(self, owner: ApplicationId | OrgId, *, at_least: int) -> bool:
        """Whether so many are kept for the application, or for the organisation itself."""
        ...

    async def forget(self, app_id: ApplicationId, *, issued_before: datetime) -> None:
        """Those that end nothing but what was issued before: one that ends all of that has come."""


class OrganisationTokenRepository(Protocol):
    """The listed tokens of one organisation, without their texts."""

    async def add(self, token: OrganisationToken) -> None: ...
    async def get(self, org_id: OrgId, ref: str) -> OrganisationToken | None:
        """`ref` is an id or a digest."""
        ...

    async def page(self, org_id: OrgId, page: PageRequest) -> Page[OrganisationToken]: ...
    async def revoke(self, token: OrganisationToken, *, at: datetime) -> None: ...
    async def has(self, org_id: OrgId, *, at_least: int) -> bool:
        """Whether the organisation has so many."""
        ...

    async def forget(self, org_id: OrgId, *, expired_before: datetime) -> None: ...


class AuditRepository(Protocol):
    """The audit trail, which only grows."""

    async def add(self, event: AuditEvent) -> None: ...
    async def page(self, org_id: OrgId, page: PageRequest) -> Page[AuditEvent]: ...
