"""Bodies of requests and responses for example messages and for the check whether a message would be sent."""

from typing import Annotated, Any

import orjson
from pydantic import Field

from service.api.schemas.deliveries import MessageAttemptOut
from service.api.schemas.messages import MessageOut
from service.api.schemas.rules import Channels, EventTypeName, Received, Shown
from service.domain import ids
from service.domain.deliveries import Attempt
from service.domain.messages import NewMessage


class EventExampleIn(Received):
    """Which example to send: one of the event type's own, or a payload of the caller's."""

    event_type: EventTypeName
    example_index: Annotated[int, Field(ge=0, strict=True, examples=[0])] | None = None
    payload: dict[str, Any] | None = Field(default=None, examples=[{"id": "invoice_42"}])


class ExampleOut(MessageOut):
    """The message that was sent, and what the receiver said to it."""

    attempt: MessageAttemptOut

    @classmethod
    def of(cls, message: NewMessage, attempt: Attempt, *, trace_url: str | None) -> "ExampleOut":
        """The response for an example and its one attempt; `trace_url` is a template."""
        return cls(
            id=message.id,
            event_id=None,
            event_type=message.event_type,
            payload=orjson.Fragment(message.payload),
            channels=None,
            tags=None,
            deliver_at=None,
            timestamp=ids.time_of(message.id),
            attempt=MessageAttemptOut.of(attempt, trace_url=trace_url),
        )


class MessagePrecheckIn(Received):
    """What a message would be."""

    event_type: EventTypeName
    channels: Channels | None = None


class MessagePrecheckOut(Shown):
    """Whether any endpoint would be sent such a message."""

    active: bool
