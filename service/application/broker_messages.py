"""What a broker's message says: its headers with the body as payload, or a JSON envelope with the payload within.

What the source fixes counts first, then a header, then the envelope. Whoever names the event type decides: if the
source or a header does, the body is the payload, byte for byte; else the body is the envelope.
"""

from collections.abc import Mapping

import msgspec

from service.application.raw_json import Members
from service.domain.broker_messages import APPLICATION, CHANNELS, EVENT_ID, EVENT_TYPE, TAGS, BrokerMessage
from service.domain.errors import Invalid
from service.domain.messages import Submission
from service.domain.sources import Source

_members = Members(("application", "eventType", "eventId", "channels", "tags", "payload"))
_text = msgspec.json.Decoder(str)
_texts = msgspec.json.Decoder(tuple[str, ...])
_NO_BYTES = b""


def submission_of(source: Source, message: BrokerMessage) -> Submission:
    """The message as a Submission of the source's organisation. Raises Invalid."""
    event_type = source.event_type or message.headers.get(EVENT_TYPE)
    if event_type is None:
        return _enveloped(source, message)
    headers = message.headers
    return Submission(
        org_id=source.org_id,
        app=_required(source.application or headers.get(APPLICATION), "application"),
        event_type=event_type,
        payload=message.body,
        event_id=headers.get(EVENT_ID) or message.event_id,
        channels=_listed(headers.get(CHANNELS)),
        tags=_listed(headers.get(TAGS)),
    )


def _enveloped(source: Source, message: BrokerMessage) -> Submission:
    found, headers = _opened(message.body), message.headers
    return Submission(
        org_id=source.org_id,
        app=_required(source.application or headers.get(APPLICATION) or _word(found, "application"), "application"),
        event_type=_required(_word(found, "eventType"), "event_type"),
        payload=found.get("payload", _NO_BYTES),
        event_id=headers.get(EVENT_ID) or _word(found, "eventId") or message.event_id,
        channels=_listed(headers.get(CHANNELS)) or _words(found, "channels"),
        tags=_listed(headers.get(TAGS)) or _words(found, "tags"),
    )


def _opened(body: bytes) -> dict[str, bytes]:
    try:
        return _members.of(body)
    except ValueError as error:
        detail = f"Without the header {EVENT_TYPE} the body must be a JSON object with the payload in it: {error}."
        raise Invalid(detail, field=()) from None


def _required(said: str | None, field: str) -> str:
    if said is None:
        raise Invalid(f"Neither the source, a header nor the body names the {field.replace('_', ' ')}.", field=(field,))
    return said


def _word(found: Mapping[str, bytes], name: str) -> str | None:
    written = found.get(name, b"null")
    if written == b"null":
        return None
    try:
        return _text.decode(written)
    except ValueError:
        raise Invalid(f"{name} must be a text.", field=(name,)) from None


def _words(found: Mapping[str, bytes], name: str) -> tuple[str, ...] | None:
    written = found.get(name, b"null")
    if written == b"null":
        return None
    try:
        return _texts.decode(written) or None
    except ValueError:
        raise Invalid(f"{name} must be a list of texts.", field=(name,)) from None


def _listed(joined: str | None) -> tuple[str, ...] | None:
    """The names in a header, joined by commas."""
    return tuple(name for part in joined.split(",") if (name := part.strip())) or None if joined else None
