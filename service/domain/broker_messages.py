"""A broker's message as it came in: its body, its headers, and its place at the broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field

APPLICATION = "relevo-application"
EVENT_TYPE = "relevo-event-type"
EVENT_ID = "relevo-event-id"
CHANNELS = "relevo-channels"
TAGS = "relevo-tags"
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerMessage:
    """The names of `headers` are in lower case. `position` names the message at its broker, always the same.

    `event_id` is what the broker knows it by, for messages without an event id of their own; None where the broker has
    nothing that is the same at every redelivery. `receipt` is its consumer's, to acknowledge it by.
    """

    body: bytes
    headers: Mapping[str, str]
    position: str
    event_id: str | None
    receipt: object = field(repr=False)
