"""The intake of messages, for every way in: a `Submission` becomes a stored message with its deliveries, or is refused.

Nothing here knows about HTTP or files: each way in makes a `Submission` and translates the result.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import uuid4

from service.application.applications import Applications
from service.application.payload_checks import PayloadChecks
from service.application.ports.intake import Intake
from service.application.ports.machine import Clock, NewId
from service.application.ports.unit_of_work import UnitOfWork
from service.application.raw_json import is_object
from service.domain import errors, ids
from service.domain.applications import NewApplication
from service.domain.errors import Busy, Invalid, RelevoError
from service.domain.ids import MessageId
from service.domain.messages import (
    Accepted,
    EventIdTaken,
    KeyTaken,
    NewMessage,
    NotResident,
    Reception,
    Repeated,
    Submission,
    Unchecked,
    UnknownApplication,
)
from service.domain.retention import payload_expiry

MAX_RECHECKS = 5

Begin = Callable[[], AbstractAsyncContextManager[UnitOfWork]]


@dataclass(frozen=True, slots=True)
class Kept:
    """The message and its deliveries are committed."""

    id: MessageId


@dataclass(frozen=True, slots=True)
class SameAgain:
    """The message was stored before, as `id` by its idempotency key; None if only its event id shows that."""

    id: MessageId | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Refused for good: repeating it gives the same result. `error` has a code for programs and a sentence for
    people."""

    error: RelevoError


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not stored, for a reason on our side (overload, database away): repeat it after `wait` seconds."""

    error: Busy
    wait: int


Receipt = Kept | SameAgain | Rejected | Deferred


class Submissions:
    """Takes submissions. `begin` opens a short unit of work, to create an application that comes with a message."""

    def __init__(self, intake: Intake, checks: PayloadChecks, *, begin: Begin, clock: Clock, new_id: NewId) -> None:
        self._intake = intake
        self._checks = checks
        self._begin = begin
        self._clock = clock
        self._new_id = new_id

    async def take(self, said: Submission) -> Receipt:
        """Take a submission and return the result. Never raises RelevoError, for ways in that go on with the next
        one."""
        try:
            refuse_malformed(said)
        except Invalid as error:
            return Rejected(error)
        return await self.take_well_formed(said)

    async def take_well_formed(self, said: Submission) -> Receipt:
        """The same, for a submission whose names, labels and sizes were checked before."""
        try:
            return await self.submit(said)
        except Busy as busy:
            return Deferred(busy, busy.retry_after)
        except RelevoError as error:
            return Rejected(error)

    async def submit(self, said: Submission) -> Kept | SameAgain:
        """The same, but raises NotFound, KeyReused, Invalid; Busy and Unavailable when it was not stored.

        If the application does not exist and comes with the message, it is created and the message is taken again.
        """
        message = message_of(said, message_id=MessageId(self._new_id(ids.MESSAGE)), now=self._clock.now())
        reception = await self._received(message)
        if isinstance(reception, UnknownApplication) and said.application is not None:
            await self._create_application(said, said.application)
            reception = await self._received(message)
        return _receipt(reception, message)

    async def _received(self, message: NewMessage) -> Reception:
        """The intake's result for the message, after the checks of its times and payload. Raises Invalid."""
        try:
            message.refuse_untimely()
            return await self._checked(message)
        except Invalid:
            # A repetition of an accepted request gets the first answer, even if today it would be invalid.
            first = await self._intake.first_use(message)
            if first is None:
                raise
            return first

    async def _checked(self, message: NewMessage) -> Reception:
        """Accept the message. If its event type's schema changes between check and commit, check and accept again."""
        reception = await self._intake.accept(await self._checks.checked(message))
        for _ in range(MAX_RECHECKS):
            if not isinstance(reception, Unchecked):
                break
            reception = await self._intake.accept(await self._checks.checked_afresh(message))
        return reception

    async def _create_application(self, said: Submission, new: NewApplication) -> None:
        """Create the application that comes with a message, unless another message just did. Raises Invalid."""
        field = ("application", "uid")
        if new.uid is None:
            detail = "An application that is created with a message needs a uid."
            raise Invalid(detail, field=field, kind="application_uid_missing")
        if new.uid != said.app:
            raise Invalid("The uid must be the one of the path.", field=field, kind="application_uid_mismatch")
        async with self._begin() as work:
            applications = Applications(said.org_id, work.applications, clock=self._clock, new_id=self._new_id)
            await applications.create_or_get(new)


def message_of(said: Submission, *, message_id: MessageId, now: datetime) -> NewMessage:
    """The message to store, with its id and times."""
    return NewMessage(
        id=message_id,
        org_id=said.org_id,
        app=said.app,
        event_type=said.event_type,
        payload=said.payload,
        accepted_at=now,
        event_id=said.event_id,
        channels=said.channels,
        tags=said.tags,
        deliver_at=said.deliver_at,
        expires_at=payload_expiry(now, said.deliver_at, kept=said.payload_kept),
        correlation_id=said.correlation_id or uuid4().hex,
        traceparent=said.traceparent,
        idempotency_key=said.key,
        content_type=said.content_type,
    )


def refuse_malformed(said: Submission) -> None:
    """Raises Invalid for bad names, labels, sizes and a payload that is no JSON object."""
    said.refuse_malformed()
    if said.content_type is None and not is_object(said.payload):
        raise Invalid("Payload must be an object.", field=("payload",))


def _receipt(reception: Reception, message: NewMessage) -> Kept | SameAgain:
    match reception:
        case Accepted():
            return Kept(message.id)
        case Repeated(id=first):
            return SameAgain(first)
        case EventIdTaken():
            return SameAgain(None)
        case KeyTaken():
            raise errors.KeyReused
        case UnknownApplication():
            raise errors.NotFound("Application not found")
        case Unchecked():
            raise errors.Busy("The event type's schema is being changed. Try again shortly.")
        case NotResident():
            raise errors.LivesElsewhere
        case _ as never:
            assert_never(never)
