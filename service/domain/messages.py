"""A message: one event of an application, kept byte for byte as the caller wrote its payload."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.errors import Invalid
from service.domain.idempotency import IdempotencyKey
from service.domain.ids import ApplicationId, MessageId, OrgId

SOONEST = timedelta(minutes=1)
LATEST = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message on its way in. `app` is the application's id or uid.

    `checked_against` is the version of the event type whose schema the payload was found to keep. Without a
    `content_type` the payload is JSON.
    """

    id: MessageId
    org_id: OrgId
    app: str
    event_type: str
    payload: bytes
    accepted_at: datetime
    event_id: str | None = None
    channels: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    deliver_at: datetime | None = None
    expires_at: datetime
    correlation_id: str
    traceparent: str | None = None
    idempotency_key: IdempotencyKey | None = None
    checked_against: datetime | None = None
    content_type: str | None = None

    def refuse_untimely(self) -> None:
        """Invalid for a delivery that is to be too soon, or too far ahead, of when the message arrived."""
        earliest, latest = self.accepted_at + SOONEST, self.accepted_at + LATEST
        if self.deliver_at is not None and not earliest <= self.deliver_at <= latest:
            raise Invalid(
                "deliverAt must be at least one minute and at most 24 hours ahead.", loc=("body", "deliverAt")
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Committed, with a delivery for each of `deliveries` endpoints."""

    app_id: ApplicationId
    deliveries: int
    app_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Accepted before, under the same idempotency key and with the same body, as message `id`."""

    id: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReused:
    """The idempotency key came before with another body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventIdTaken:
    """Another message of the application has that event id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownApplication:
    """The caller has no such application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """The event type vouches for its payloads, and this one was not held against its schema as it is now."""


Reception = Accepted | Repeated | KeyReused | EventIdTaken | UnknownApplication | Unchecked


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it is kept. `payload` is None once it was removed, or when it was not asked for."""

    id: MessageId
    app_id: ApplicationId
    event_id: str | None
    event_type: str
    payload: bytes | None
    channels: tuple[str, ...] | None
    tags: tuple[str, ...] | None
    deliver_at: datetime | None
