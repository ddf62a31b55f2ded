"""A message: one event for one application. Its payload is stored byte for byte as the caller wrote it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain import ids, limits
from service.domain.applications import NewApplication
from service.domain.errors import Invalid
from service.domain.idempotency import IdempotencyKey
from service.domain.ids import ApplicationId, MessageId, OrgId
from service.domain.limits import MAX_DELIVERY_DELAY, MIN_DELIVERY_DELAY
from service.domain.retention import PAYLOADS_KEPT

_channel = re.compile(limits.CHANNEL).fullmatch
_tag = re.compile(limits.TAG).fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message as a caller submits it, by any way in. `app` is the application's id or uid.

    Without a `content_type` the payload is a JSON object. `key` and `event_id` identify repetitions;
    `application` is created if it does not exist; `traceparent` (W3C) is the trace that the message belongs to.
    """

    org_id: OrgId
    app: str
    event_type: str
    payload: bytes
    event_id: str | None = None
    channels: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    deliver_at: datetime | None = None
    payload_kept: timedelta = PAYLOADS_KEPT
    content_type: str | None = None
    application: NewApplication | None = None
    key: IdempotencyKey | None = None
    correlation_id: str | None = None
    traceparent: str | None = None

    def refuse_malformed(self) -> None:
        """Raises Invalid for bad names, labels and sizes. The payload's own syntax is not checked."""
        faults = {
            "application": not limits.is_name(self.app) and "This is not the id or uid of an application.",
            "event_type": not limits.is_name(self.event_type) and "This is not the name of an event type.",
            "event_id": not _is_event_id(self.event_id) and f"This is not a name, or begins with {ids.MESSAGE}.",
            "channels": not _are(self.channels, _channel, limits.MAX_CHANNELS) and "These are not channels.",
            "tags": not _are(self.tags, _tag, limits.MAX_TAGS) and "These are not tags.",
            "payload": len(self.payload) > limits.MAX_BODY_BYTES and "The payload is too large.",
            "payload_kept": not _may_be_kept(self.payload_kept) and "Payloads are kept for 1 h to 90 days.",
            "deliver_at": self.deliver_at is not None and self.deliver_at.tzinfo is None and "The time has no zone.",
        }
        for field, fault in faults.items():
            if fault:
                raise Invalid(fault, field=(field,))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to be stored. `app` is the application's id or uid.

    `checked_against` is the version (time of change) of the event type whose schema the payload was validated by.
    Without a `content_type` the payload is JSON.
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
        """Raises Invalid if `deliver_at` is less than a minute or more than 24 hours after the message arrived."""
        earliest, latest = self.accepted_at + MIN_DELIVERY_DELAY, self.accepted_at + MAX_DELIVERY_DELAY
        if self.deliver_at is not None and not earliest <= self.deliver_at <= latest:
            raise Invalid("deliverAt must be at least one minute and at most 24 hours ahead.", field=("deliver_at",))


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
class KeyTaken:
    """The idempotency key was used before with another body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventIdTaken:
    """Another message of the application has that event id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownApplication:
    """The caller has no such application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """The event type validates payloads, and this one was not validated by its current schema. Validate and repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotResident:
    """The organisation does not live in this database."""


Reception = Accepted | Repeated | KeyTaken | EventIdTaken | UnknownApplication | Unchecked | NotResident


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as stored. `payload` is None if it was removed or not requested."""

    id: MessageId
    app_id: ApplicationId
    event_id: str | None
    event_type: str
    payload: bytes | None
    channels: tuple[str, ...] | None
    tags: tuple[str, ...] | None
    deliver_at: datetime | None


def _is_event_id(text: str | None) -> bool:
    return text is None or (limits.is_name(text) and not text.startswith(ids.MESSAGE))


def _may_be_kept(time: timedelta) -> bool:
    return timedelta(hours=1) <= time <= PAYLOADS_KEPT


def _are(labels: tuple[str, ...] | None, pattern: Callable[[str], object], most: int) -> bool:
    if labels is None:
        return True
    return 0 < len(labels) <= most and all(len(one) <= limits.MAX_LABEL_CHARACTERS and pattern(one) for one in labels)
