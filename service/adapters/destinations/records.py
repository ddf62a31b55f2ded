"""A message as kinds of destination without HTTP carry it: its headers, its line of JSON, and its key."""

from functools import lru_cache

import orjson

from service.application.raw_json import Members
from service.domain.batches import Batch, StreamMessage

JSON = "application/json"
CACHED_NAMES = 1024
MAX_PARSED_KEY_BYTES = 64 * 1024  # a longer one is taken as it was written: its values may be many


def headers(batch: Batch, message: StreamMessage) -> dict[str, str]:
    """What a record is told of its message besides the payload; the sender's `traceparent`, so that its trace goes
    on."""
    told = {
        "relevo-application": str(batch.app_id),
        "relevo-message-id": str(message.id),
        "relevo-event-type": message.event_type,
        "relevo-timestamp": message.created_at.isoformat(),
        "content-type": message.content_type or JSON,
    }
    optional = {
        "relevo-event-id": message.event_id,
        "relevo-channels": ",".join(message.channels),
        "relevo-tags": ",".join(message.tags),
        "traceparent": message.traceparent,
    }
    return told | {name: value for name, value in optional.items() if value}


def line(message: StreamMessage) -> bytes:
    """The message as one line of JSON, the same bytes for the same message.

    Its payload is as submitted, but for line breaks between its parts, which become blanks; a payload that is no JSON
    is a string.
    """
    described = {
        "id": message.id,
        "eventType": message.event_type,
        "timestamp": message.created_at.isoformat(),
        "eventId": message.event_id,
        "channels": message.channels,
        "tags": message.tags,
    }
    return orjson.dumps(described)[:-1] + b',"payload":' + _within_a_line(message) + b"}\n"


def key(message: StreamMessage, path: str | None) -> str | None:
    """The value of a field of the payload, as text; None when it has none, or is no object of JSON.

    Dots in the path lead into fields.
    """
    if path is None:
        return None
    value = message.payload
    try:
        for name in path.split("."):
            found = _only(name).of(value).get(name)
            if found is None:
                return None
            value = found
    except ValueError:
        return None
    return _as_text(value)


@lru_cache(CACHED_NAMES)
def _only(name: str) -> Members:
    return Members([name])


def _as_text(value: bytes) -> str | None:
    if len(value) > MAX_PARSED_KEY_BYTES:
        return value.decode()
    read = orjson.loads(value)
    return read if read is None or isinstance(read, str) else orjson.dumps(read).decode()


def _within_a_line(message: StreamMessage) -> bytes:
    if message.content_type is not None and message.content_type.partition(";")[0].strip() != JSON:
        return orjson.dumps(message.payload.decode(errors="replace"))
    # Within its strings JSON has no line breaks.
    return message.payload.translate(_BLANKS)


_BLANKS = bytes.maketrans(b"\r\n", b"  ")
