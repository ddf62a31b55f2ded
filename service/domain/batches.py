"""What an ordered destination is sent: messages in the order of commit, and how many of them it took."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from service.domain.ids import ApplicationId, DestinationId, MessageId
from service.domain.outcomes import Outcome, Taken
from service.domain.signatures import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMessage:
    """A message at its position in its application's stream. `payload` is byte for byte what was submitted.

    `traceparent` is that of the sender's request. Without a `content_type` the payload is JSON.
    """

    position: int
    id: MessageId
    event_type: str
    payload: bytes
    created_at: datetime
    event_id: str | None = None
    channels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    deliver_at: datetime | None = None
    content_type: str | None = None
    traceparent: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """At least one message, in ascending order of position, and at most `size`.

    For kinds that have them, `headers` are the trace context, and `secrets` sign.
    """

    app_id: ApplicationId
    destination_id: DestinationId
    messages: tuple[StreamMessage, ...]
    headers: Mapping[str, str]
    size: int = 1
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """The first `taken` messages of the batch were taken, in order; `outcome` is that of the next one, or of the last.

    A kind that takes a batch whole or not at all has all of them, or 0.
    """

    taken: int
    outcome: Outcome

    @classmethod
    def whole(cls, batch: Batch, taken: Taken) -> "BatchResult":
        """All of the batch."""
        return cls(taken=len(batch.messages), outcome=taken)


def lane_of(payload: bytes, key: str) -> str:
    """The lane of a message: the value of that field of its payload, as JSON. `key` has dots for fields within.

    Messages without the field share one lane.
    """
    try:
        value = json.loads(payload)
    except ValueError:  # no JSON, or not in UTF-8
        return ""
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            return ""
        value = value[name]
    return json.dumps(value, sort_keys=True)
