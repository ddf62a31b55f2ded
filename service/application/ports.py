"""What the use cases and the engine need from the world. Adapters fulfil these; nothing here is imported from them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from service.domain.applications import Application
from service.domain.deliveries import Attempt, Claim, DeliveryState, Outcome, Status
from service.domain.endpoints import Endpoint
from service.domain.event_types import EventType
from service.domain.ids import ApplicationId, AttemptId, EndpointId, MessageId, OrgId
from service.domain.messages import IdempotencyKey, Message, NewMessage, Reception
from service.domain.retries import Gone, Verdict
from service.domain.signatures import Secret

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
    async def page(self, org_id: OrgId, page: PageRequest, *, include_archived: bool) -> Page[EventType]: ...
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
    def deliveries(self) -> DeliveryRepository: ...
    @property
    def idempotency(self) -> IdempotencyRepository: ...

    async def commit(self) -> None:
        """Make everything last, or raise. Unavailable when the database was lost."""

    async def rollback(self) -> None: ...


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
