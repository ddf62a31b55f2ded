"""Bodies of requests and responses for messages. A payload passes through unchanged, so no model parses it."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

import orjson
from pydantic import Field, model_validator

from service.api.schemas.applications import ApplicationIn
from service.api.schemas.headers import HeaderValue
from service.api.schemas.rules import (
    LIMITED_MEMBERS,
    ChannelOut,
    Channels,
    EventId,
    EventIdOut,
    EventTypeName,
    EventTypeNameOut,
    MessageIdOut,
    Moment,
    PayloadOut,
    Received,
    Shown,
    TagOut,
    Tags,
    Time,
    written,
)
from service.application.raw_json import is_object
from service.domain import ids
from service.domain.ids import MessageId
from service.domain.messages import Message, Submission
from service.domain.retention import PAYLOADS_KEPT

_MAX_DAYS, _MAX_HOURS = PAYLOADS_KEPT.days, PAYLOADS_KEPT // timedelta(hours=1)

EXPIRED = orjson.Fragment(b'{"expired":true}')
LEFT_OUT = orjson.Fragment(b"{}")


class TransformationsParams(Received):
    """`rawPayload` is sent in place of the payload, byte for byte, as the `content-type` that `headers` may name."""

    raw_payload: str | None = Field(default=None, examples=['{"id":"invoice_42"}'])
    headers: Annotated[dict[str, HeaderValue], LIMITED_MEMBERS] | None = Field(
        default=None, examples=[{"content-type": "application/xml"}]
    )

    @property
    def content_type(self) -> str | None:
        """The content type of the payload, None for plain JSON."""
        named = {name.lower(): value for name, value in (self.headers or {}).items()}
        return named.get("content-type") or None


class MessageHead(Received):
    """Everything a caller says of a message but its payload."""

    event_type: EventTypeName
    event_id: EventId | None = None
    channels: Channels | None = None
    tags: Tags | None = None
    application: ApplicationIn | None = None
    transformations_params: TransformationsParams | None = None
    deliver_at: Moment | None = Field(default=None, description="From a minute to a day ahead.")
    payload_retention_period: Annotated[int, Field(ge=1, le=_MAX_DAYS, strict=True, examples=[30])] | None = Field(
        default=None, description="In days."
    )
    payload_retention_hours: Annotated[int, Field(ge=1, le=_MAX_HOURS, strict=True, examples=[720])] | None = None

    @model_validator(mode="after")
    def _one_retention(self) -> Self:
        if self.payload_retention_period is not None and self.payload_retention_hours is not None:
            raise ValueError("payloadRetentionPeriod and payloadRetentionHours exclude each other.")
        return self

    @property
    def retention(self) -> timedelta:
        """How long the payload is kept, from acceptance."""
        if self.payload_retention_hours is not None:
            return timedelta(hours=self.payload_retention_hours)
        if self.payload_retention_period is not None:
            return timedelta(days=self.payload_retention_period)
        return PAYLOADS_KEPT

    @property
    def content_type(self) -> str | None:
        """The content type to send the payload with, None for plain JSON."""
        return self.transformations_params.content_type if self.transformations_params else None

    @property
    def raw_payload(self) -> bytes | None:
        """The bytes to send in place of the payload, if any."""
        given = self.transformations_params.raw_payload if self.transformations_params else None
        return None if given is None else given.encode()


class MessageIn(MessageHead):
    """A message. What is delivered is the payload, byte for byte as it was written."""

    payload: dict[str, Any] = Field(examples=[{"id": "invoice_42", "amount": 1200}])


class MessageOut(Shown):
    """A message as it was accepted, with its payload where that is asked for and still kept."""

    id: MessageIdOut
    event_id: EventIdOut | None
    event_type: EventTypeNameOut
    payload: PayloadOut
    channels: list[ChannelOut] | None
    tags: list[TagOut] | None
    deliver_at: Time | None
    timestamp: Time

    @classmethod
    def without_payload(cls, message: Message) -> Self:
        """The response for a message, without its payload."""
        return cls.model_validate(head_of(message) | {"payload": {}})


def fields_of(message: Message, *, with_content: bool) -> dict[str, Any]:
    """The fields of `MessageOut`, ready for orjson, with the payload as it was written."""
    return head_of(message) | {"payload": shown_payload(message.payload) if with_content else LEFT_OUT}


def head_of(message: Message) -> dict[str, Any]:
    """The fields of `MessageOut` without the payload."""
    return head_as_said(message, message.id)


def head_as_said(message: Message | Submission, message_id: MessageId) -> dict[str, Any]:
    """The fields of `MessageOut` without the payload, from the message or from the submission that got this id."""
    return {
        "id": message_id,
        "eventId": message.event_id,
        "eventType": message.event_type,
        "channels": message.channels,
        "tags": message.tags,
        "deliverAt": time_or_none(message.deliver_at),
        "timestamp": written(ids.time_of(message_id)),
    }


def time_or_none(at: datetime | None) -> str | None:
    """The time as RFC 3339, or None."""
    return None if at is None else written(at)


def shown_payload(payload: bytes | None) -> orjson.Fragment:
    """The payload as it was written; an empty object for a raw payload that is no JSON object."""
    if payload is None:
        return EXPIRED
    # A raw payload may be anything, and a response must be JSON.
    return orjson.Fragment(payload) if is_object(payload) else LEFT_OUT
