"""From the bytes of a request to a message on its way in: one parse, and the payload cut out as it was written."""

from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import structlog
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from pydantic import ValidationError
from starlette.types import Scope

from service.api.dependencies import unit_of_work
from service.api.protocol.bodies import not_json, parse
from service.api.protocol.ignored import Known, note
from service.api.protocol.raw_json import Members
from service.api.schemas.messages import MessageHead
from service.api.services import Services
from service.application.access import Caller
from service.application.applications import Applications
from service.domain import ids
from service.domain.applications import NewApplication
from service.domain.errors import Invalid
from service.domain.idempotency import IdempotencyKey
from service.domain.ids import MessageId
from service.domain.messages import NewMessage
from service.domain.retention import payload_expiry
from service.observability.correlation import traceparent

_KNOWN = Known.of(MessageHead)
_wanted = Members(("payload", "data", *_KNOWN.names))


def read_message(body: bytes, *, tell_in: Scope) -> tuple[MessageHead, bytes]:
    """What is said of the message, and its payload byte for byte. Invalid, RequestValidationError.

    Of the payload nothing is parsed: it is JSON, and an object, and that is all that is known of it. Names that nobody
    reads are told in the answer to the request that `tell_in` is the scope of, unless the body is large.
    """
    found = _members(body)
    payload = found.pop("payload" if "payload" in found else "data", b"")
    if not payload.startswith(b"{"):
        raise Invalid("Payload must be an object.", loc=("body", "payload"))
    document = {name: parse(value) for name, value in found.items() if name in _KNOWN.names}
    if not _KNOWN.knows(found):
        note(tell_in, _KNOWN.unknown({**found, **document}))
    return _head(document), payload


def new_message(
    services: Services, caller: Caller, *, app: str, head: MessageHead, payload: bytes, key: IdempotencyKey | None
) -> NewMessage:
    """The message, with its identifier, its times and what ties it to this request."""
    now = services.clock.now()
    return NewMessage(
        id=MessageId(services.new_id(ids.MESSAGE)),
        org_id=caller.org_id,
        app=app,
        event_type=head.event_type,
        payload=payload if head.raw_payload is None else head.raw_payload,
        accepted_at=now,
        event_id=head.event_id,
        channels=_tuple(head.channels),
        tags=_tuple(head.tags),
        deliver_at=head.deliver_at,
        expires_at=payload_expiry(now, head.deliver_at, kept=head.retention),
        correlation_id=structlog.contextvars.get_contextvars().get("correlation_id") or uuid4().hex,
        traceparent=traceparent(trace.get_current_span().get_span_context()),
        idempotency_key=key,
        content_type=head.content_type,
    )


async def create_application(services: Services, caller: Caller, *, app: str, new: NewApplication) -> None:
    """Create the application that a message brings along, unless another message just did. Invalid."""
    loc = ("body", "application", "uid")
    if new.uid is None:
        raise Invalid(
            "An application that is created with a message needs a uid.", loc=loc, kind="application_uid_missing"
        )
    if new.uid != app:
        raise Invalid("The uid must be the one of the path.", loc=loc, kind="application_uid_mismatch")
    async with services.sessions() as session, asynccontextmanager(unit_of_work)(services, session) as work:
        applications = Applications(caller.org_id, work.applications, clock=services.clock, new_id=services.new_id)
        await applications.create_or_get(new)


def _members(body: bytes) -> dict[str, bytes]:
    try:
        return _wanted.of(body)
    except msgspec.ValidationError:
        raise Invalid("The body must be an object.", loc=("body",)) from None
    except ValueError as error:
        raise not_json(error) from error


def _head(document: dict[str, object]) -> MessageHead:
    try:
        return MessageHead.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from error


def _tuple(items: list[str] | None) -> tuple[str, ...] | None:
    return None if items is None else tuple(items)
