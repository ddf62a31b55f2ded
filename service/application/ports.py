"""What the use cases and the engine need from the world. Adapters fulfil these; nothing here is imported from them."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from service.domain.applications import Application
from service.domain.audit import AuditEvent
from service.domain.background_tasks import BackgroundTask, TaskClaim, TaskStatus
from service.domain.deliveries import Attempt, Claim, DeliveryState, Outcome, Status
from service.domain.endpoints import Endpoint
from service.domain.event_types import EventType
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId, OrgId, TaskId
from service.domain.imports import LineFault, MessageImport
from service.domain.messages import IdempotencyKey, Message, NewMessage, Reception
from service.domain.replays import Covered, ReplayFilter, Stretch, Window
from service.domain.retries import Gone, Verdict
from service.domain.revocations import Revocation
from service.domain.signatures import Secret
from service.domain.statistics import AttemptCounts, Subscriptions, Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Where to read on. `after` is the key of the last item seen; `backwards` reads towards the start of the list."""

    limit: int = 50
    after: str | None = None
    backwards: bool = False
    ascending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Items in display order. `done` tells that nothing follows in the direction that was read."""

    items: Sequence[T]
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages to list. Times are exclusive bounds."""

    before: datetime | None = None
    after: datetime | None = None
    channel: str | None = None
    tag: str | None = None
    event_types: tuple[str, ...] | None = None
    with_content: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter(MessageFilter):
    """Which attempts to list. `status_code_class` is 0, 100, ... 500."""

    status: Status | None = None
    status_code_class: int | None = None
    endpoint_id: EndpointId | None = None

    def of_endpoint(self, endpoint_id: EndpointId) -> "AttemptFilter":
        """The same, of one endpoint."""
        return replace(self, endpoint_id=endpoint_id)


class ApplicationRepository(Protocol):
    """Applications of one organisation. `ref` is an id or a uid; `lock` holds what is read till the end."""

    async def get(self, org_id: OrgId, ref: str, *, lock: bool = False) -> Application | None: ...
    async def page(self, org_id: OrgId, page: PageRequest) -> Page[Application]: ...

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
        self, org_id: OrgId, page: PageRequest, *, include_archived: bool, flags: Collection[str] | None = None
    ) -> Page[EventType]:
        """With `flags` only those that need no flag or one of these."""
        ...

    async def unknown(self, org_id: OrgId, names: Sequence[str]) -> list[str]:
        """Those of the names that are not live event types, in order."""
        ...

    async def add(self, event_type: EventType) -> None:
        """Takes the place of an archived one; EventTypeExists when a live one has the name."""

    async def replace(self, event_type: EventType) -> None: ...
    async def delete(self, event_type: EventType) -> None: ...


class MessageRepository(Protocol):
    """Messages that were accepted. `ref` is an id or an event id."""

    async def get(self, app_id: ApplicationId, ref: str, *, with_content: bool) -> Message | None: ...
    async def page(self, app_id: ApplicationId, page: PageRequest, wanted: MessageFilter) -> Page[Message]: ...
    async def by_ids(self, app_id: ApplicationId, message_ids: Collection[MessageId]) -> Sequence[Message]:
        """Those that there are, without their payloads."""
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
class Missed:
    """So many news could not be told; None when nobody knows how many."""

    count: int | None


class Follower(Protocol):
    """Who hears of attempts as they are made."""

    async def next(self) -> Sequence[AttemptId] | Missed | None:
        """The next news, at least one; what was missed before them; None when there will be no more."""
        ...


class AttemptNews(Protocol):
    """Tells of attempts, whichever process made them."""

    def follow(self, app_id: ApplicationId) -> AbstractAsyncContextManager[Follower]:
        """News of the application from now on. Unavailable when nobody can be told."""
        ...


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which background tasks to list."""

    app_id: ApplicationId | None = None
    status: TaskStatus | None = None
    kind: str | None = None


class ImportRepository(Protocol):
    """Imports of one application's messages. `ref` is an import's id, or its file's."""

    async def get(self, app_id: ApplicationId, ref: str) -> MessageImport | None: ...
    async def start(self, new: MessageImport) -> MessageImport:
        """Keep a new import, or begin the one of the same file again."""
        ...

    async def keep(self, progress: MessageImport, faults: Sequence[LineFault]) -> None:
        """How far it is, and the lines that were refused on the way there."""

    async def faults(self, app_id: ApplicationId, import_id: str, page: PageRequest) -> Page[LineFault]:
        """Refused lines by their number; `after` is one."""
        ...


class BackgroundTaskRepository(Protocol):
    """Background tasks of one organisation, or of one application of it."""

    async def add(self, task: BackgroundTask, *, due_at: datetime) -> None:
        """Its first batch is done from `due_at` on, by whichever process is first."""

    async def get(self, org_id: OrgId, task_id: TaskId, *, app_id: ApplicationId | None) -> BackgroundTask | None: ...
    async def page(self, org_id: OrgId, page: PageRequest, wanted: TaskFilter) -> Page[BackgroundTask]: ...

    async def keep(self, task: BackgroundTask, *, lease: str | None, due_at: datetime) -> bool:
        """Keep the task's progress and give its lease back; False, and nothing changed, when it has another by now.

        `lease` is None for a task that nobody has claimed: whoever works at it outside the engine keeps the engine
        away by a `due_at` ahead of time.
        """
        ...


class ReplayRepository(Protocol):
    """Owing messages to an endpoint once more, a stretch at a time. Each is owed once for a task, by its id."""

    async def sent(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch, wanted: ReplayFilter) -> Covered:
        """Of the messages that the endpoint was sent, those that are meant and still have their payload."""
        ...

    async def missing(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch) -> Covered:
        """Those of the application's messages that the endpoint wants, and was never sent nor is owed."""
        ...


class ContentRepository(Protocol):
    """Removing what messages and answers said, while what is known of them stays."""

    async def expunge(self, app_id: ApplicationId, message_ids: Collection[MessageId]) -> None: ...
    async def named(self, app_id: ApplicationId, refs: Collection[str]) -> dict[str, MessageId]:
        """The messages by these ids or event ids; those that are unknown are missing."""
        ...

    async def expunge_attempt(self, attempt: Attempt, app_id: ApplicationId) -> None: ...
    async def expunge_all(self, app_id: ApplicationId, stretch: Stretch) -> Covered:
        """Of the next messages, all. Counts those that had a payload."""
        ...


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

    async def add(self, revocation: Revocation) -> None: ...


class AuditRepository(Protocol):
    """The audit trail, which only grows."""

    async def add(self, event: AuditEvent) -> None: ...
    async def page(self, org_id: OrgId, page: PageRequest) -> Page[AuditEvent]: ...


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
    def audit(self) -> AuditRepository: ...
    @property
    def outbox(self) -> Outbox: ...

    async def commit(self) -> None:
        """Make everything last, or raise. Unavailable when the database was lost."""

    async def rollback(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRule:
    """What an event type asks of its payloads: a JSON Schema, if it has one, as of `version`."""

    schema: Any
    version: datetime


class PayloadRules(Protocol):
    """Where the rules for payloads are kept."""

    async def rule(self, org_id: OrgId, event_type: str) -> PayloadRule | None:
        """None when the event type does not vouch for its payloads."""
        ...


class Intake(Protocol):
    """Where messages come in: many callers, one commit."""

    async def accept(self, message: NewMessage) -> Reception:
        """Answers once the message and every delivery it owes are committed. Busy when too many wait."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What came of a claim, ready to be kept. `attempt` is None when nothing was sent because nobody is there."""

    claim: Claim
    verdict: Verdict
    attempt: Attempt | None

    @property
    def endpoint_gone(self) -> bool:
        """Whether the receiver said that it wants no more."""
        return isinstance(self.verdict, Gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`applied` is False when the lease has passed to somebody else. The endpoint may have been switched off by it."""

    applied: bool
    endpoint_switched_off: bool


class DeliveryQueue(Protocol):
    """Deliveries that are owed: taken under a lease, given back or settled."""

    async def claim(self, *, limit: int, per_endpoint: int, rooms: Mapping[EndpointId, int]) -> list[Claim]:
        """Up to `limit` due deliveries, at most `per_endpoint` of one endpoint, or what `rooms` has for it."""
        ...

    async def settle(self, settlement: Settlement) -> Settled:
        """Keep what came of an attempt, if its lease is still ours."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give leases back unspent; the deliveries are due at once."""

    async def wait(self) -> None:
        """Return when something may be due."""


class TaskQueue(Protocol):
    """Background tasks whose next batch is due, taken under a lease."""

    async def claim(self, kinds: Collection[str]) -> TaskClaim | None:
        """The one that has waited longest, among these kinds; None when none is due."""
        ...

    async def postpone(self, claim: TaskClaim) -> None:
        """Give the lease back after a batch that went wrong; the task is due again later, the later the more did."""

    async def give_up(self, claim: TaskClaim, failed: BackgroundTask) -> None:
        """Keep that the task has failed, if its lease is still ours."""


class Sender(Protocol):
    """Makes the call to a receiver."""

    async def send(self, *, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Never raises for a bad receiver: the outcome is a value. Bounded by the attempt timeout."""
        ...


class Clock(Protocol):
    """The time, timezone-aware."""

    def now(self) -> datetime: ...


class Vault(Protocol):
    """Keeps secrets unreadable to whoever holds only the database."""

    def seal(self, plain: bytes) -> bytes: ...
    def open(self, sealed: bytes) -> bytes: ...


class KeyPairs(Protocol):
    """Ed25519 keys of 64 bytes: the seed, then the public half."""

    def new(self) -> bytes: ...
    def holds(self, key: bytes) -> bool:
        """Whether the public half is the seed's own."""
        ...

    def sign(self, key: bytes, text: bytes) -> bytes: ...


class NewId(Protocol):
    """Makes an identifier with a prefix, of the instant `at` or of now."""

    def __call__(self, prefix: str, *, at: datetime | None = None) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSample:
    """How many deliveries are due, leased and scheduled for later; how many seconds the oldest has been due."""

    depths: dict[str, int]
    oldest_due_age: float


class Upkeep(Protocol):
    """What has to be done now and then; any number of processes may do it at once."""

    async def make_room(self, *, now: datetime) -> None: ...
    async def clear_away(self, *, now: datetime) -> None: ...
    async def sample(self) -> QueueSample: ...
