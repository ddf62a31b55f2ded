"""Bodies of requests and responses for polled destinations. Payloads pass through unchanged."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from service.api.schemas.messages import shown_payload, time_or_none
from service.api.schemas.rules import (
    ChannelOut,
    EventIdOut,
    EventTypeNameOut,
    MessageIdOut,
    Moment,
    PayloadOut,
    PositionOut,
    Received,
    Shown,
    TagOut,
    Time,
    written,
)
from service.application.ports.ordered import Passage
from service.application.raw_json import is_object
from service.domain import ids
from service.domain.batches import StreamMessage
from service.domain.ids import ApplicationId
from service.domain.positions import iterator_of


class PolledMessageOut(Shown):
    """A message of a polled destination. A payload that is no JSON object is `rawPayload`, of the type that `headers`
    name."""

    id: MessageIdOut
    event_id: EventIdOut | None
    event_type: EventTypeNameOut
    payload: PayloadOut
    raw_payload: str | None = Field(default=None, examples=["<invoice/>"])
    headers: dict[str, str] | None = Field(
        description="What the payload is, where it is not plain JSON.", examples=[{"content-type": "application/xml"}]
    )
    channels: list[ChannelOut] | None
    tags: list[TagOut] | None
    deliver_at: Time | None
    timestamp: Time


class PolledOut(Shown):
    """Messages in order, and where to read on. With `done` nothing more was there."""

    data: list[PolledMessageOut]
    iterator: PositionOut
    done: bool


class ConsumerSeekIn(Received):
    """Where a consumer shall read on."""

    after: Moment


class ConsumerSeekOut(Shown):
    """Where the consumer reads on."""

    iterator: PositionOut


def polled(app_id: ApplicationId, passage: Passage) -> dict[str, Any]:
    """The fields of `PolledOut`, ready for orjson, with payloads as they were written."""
    return {
        "data": [_shown(message) for message in passage.messages],
        "iterator": iterator_of(app_id, passage.through),
        "done": passage.ended,
    }


def _shown(message: StreamMessage) -> Mapping[str, Any]:
    raw = {} if is_object(message.payload) else {"rawPayload": message.payload.decode(errors="replace")}
    return {
        "id": message.id,
        "eventId": message.event_id,
        "eventType": message.event_type,
        "payload": shown_payload(message.payload),
        "headers": None if message.content_type is None else {"content-type": message.content_type},
        "channels": message.channels or None,
        "tags": message.tags or None,
        "deliverAt": time_or_none(message.deliver_at),
        "timestamp": written(ids.time_of(message.id)),
        **raw,
    }
