"""Takes the message in the body of a request: one parse, and the payload sliced out byte for byte."""

from functools import lru_cache

import msgspec
import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from pydantic import ValidationError
from starlette.types import Scope

from service.api.idempotency import key_of_request
from service.api.protocol.bodies import not_json, parse
from service.api.protocol.ignored import Known, note
from service.api.schemas.messages import LEFT_OUT, MessageHead, head_as_said, shown_payload
from service.api.services import Services
from service.application.access import Caller
from service.application.intake import Kept, SameAgain
from service.application.raw_json import Members
from service.application.use_cases import submissions
from service.domain.errors import Conflict, Invalid
from service.domain.idempotency import IdempotencyKey
from service.domain.ids import MessageId
from service.domain.messages import Submission
from service.observability.correlation import IN_SCOPE, traceparent
from service.observability.naming import name

_KNOWN = Known.of(MessageHead)
_TYPE_ALONE = {"eventType"}
_wanted = Members(("payload", "data", *_KNOWN.names))


async def take_message(
    request: Request, *, app_id: str, caller: Caller, services: Services, key: str | None, with_content: bool
) -> bytes:
    """Keep the message in the request's body, once for each idempotency key `key`. The body of the answer."""
    body = await request.body()
    head, payload = read_message(body, tell_in=request.scope)
    first = key_of_request(request, caller, body=body, key=key)
    said = said_by(caller, request=request.scope, app=app_id, head=head, payload=payload, key=first)
    message_id = _id_of(await submissions(services).submit(said))
    name(message_id=message_id)
    shown = _echoed(head, payload) if with_content else LEFT_OUT
    return orjson.dumps(head_as_said(said, message_id) | {"payload": shown})


def read_message(body: bytes, *, tell_in: Scope) -> tuple[MessageHead, bytes]:
    """The fields of the message, and its payload byte for byte. Invalid, RequestValidationError.

    The payload is checked to be a JSON object, and not parsed. Unknown fields are noted in the ASGI scope `tell_in`,
    whose response reports them.
    """
    found = _members(body)
    payload = found.pop("payload" if "payload" in found else "data", b"")
    if not payload.startswith(b"{"):
        raise Invalid("Payload must be an object.", field=("payload",))
    if found.keys() == _TYPE_ALONE:
        return _head_of(found["eventType"]), payload
    document = {name: parse(value) for name, value in found.items() if name in _KNOWN.names}
    if not _KNOWN.knows(found):
        note(tell_in, _KNOWN.unknown({**found, **document}))
    return _head(document), payload


def said_by(
    caller: Caller, *, request: Scope, app: str, head: MessageHead, payload: bytes, key: IdempotencyKey | None
) -> Submission:
    """The caller's message as a Submission, with the correlation id of the request of this ASGI scope."""
    return Submission(
        org_id=caller.org_id,
        app=app,
        event_type=head.event_type,
        payload=payload if head.raw_payload is None else head.raw_payload,
        event_id=head.event_id,
        channels=_tuple(head.channels),
        tags=_tuple(head.tags),
        deliver_at=head.deliver_at,
        payload_kept=head.retention,
        content_type=head.content_type,
        application=None if head.application is None else head.application.new(),
        key=key,
        correlation_id=request.get(IN_SCOPE),
        traceparent=traceparent(trace.get_current_span().get_span_context()),
    )


def _members(body: bytes) -> dict[str, bytes]:
    try:
        return _wanted.of(body)
    except msgspec.ValidationError:
        raise Invalid("The body must be an object.", field=()) from None
    except ValueError as error:
        raise not_json(error) from error


def _head(document: dict[str, object]) -> MessageHead:
    try:
        return MessageHead.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from error


@lru_cache(maxsize=1024)
def _head_of(event_type: bytes) -> MessageHead:
    """The head of a message that says nothing but its event type, as most do: validated once for each type."""
    return _head({"eventType": parse(event_type)})


def _echoed(head: MessageHead, payload: bytes) -> orjson.Fragment:
    # Only a raw payload has to be checked: any other is known to be a JSON object.
    return orjson.Fragment(payload) if head.raw_payload is None else shown_payload(head.raw_payload)


def _id_of(receipt: Kept | SameAgain) -> MessageId:
    """The id of the message: for a repeated key that of the first. Conflict for another message with the event id."""
    if receipt.id is None:
        raise Conflict("A message with that eventId already exists")
    return receipt.id


def _tuple(items: list[str] | None) -> tuple[str, ...] | None:
    return None if items is None else tuple(items)
