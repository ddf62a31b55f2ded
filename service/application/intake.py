"""One way in for every message, however it comes: what was said of it becomes a message that is kept, with all that it
owes, or one of a few reasons why not.

Nothing here knows how it was said: HTTP, files of messages and whatever else takes messages in makes a `Submission`.
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
    Reception,
    Repeated,
    Submission,
    Unchecked,
    UnknownApplication,
)
from service.domain.retention import payload_expiry

MOST_CHECKS = 5

Begin = Callable[[], AbstractAsyncContextManager[UnitOfWork]]


@dataclass(frozen=True, slots=True)
class Kept:
    """The message and every delivery that it owes are committed."""

    id: MessageId


@dataclass(frozen=True, slots=True)
class SameAgain:
    """It was kept before, as `id`, by its idempotency key; None where only its event id tells so."""

    id: MessageId | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Saying it again changes nothing: `error` has a code for programs and a sentence for people."""

    error: RelevoError


@dataclass(frozen=True, slots=True)
class Deferred:
    """Nothing was kept, because of us: say it again after `wait` seconds."""

    error: Busy
    wait: int


Receipt = Kept | SameAgain | Rejected | Deferred


class Submissions:
    """Takes messages in. `begin` opens a short unit of work, for an application that a message brings along."""

    def __init__(self, intake: Intake, checks: PayloadChecks, *, begin: Begin, clock: Clock, new_id: NewId) -> None:
        self._intake = intake
        self._checks = checks
        self._begin = begin
        self._clock = clock
        self._new_id = new_id

    async def take(self, said: Submission) -> Receipt:
        """What became of it, for a way in that goes on with the next one whatever that is. Never raises RelevoError."""
        try:
            refuse_malformed(said)
        except Invalid as error:
            return Rejected(error)
        return await self.take_well_formed(said)

    async def take_well_formed(self, said: Submission) -> Receipt:
        """The same, for what has been held against the rules of form already."""
        try:
            return await self.submit(said)
        except Busy as busy:
            return Deferred(busy, busy.retry_after)
        except RelevoError as error:
            return Rejected(error)

    async def submit(self, said: Submission) -> Kept | SameAgain:
        """The same, raising what is wrong: NotFound, KeyReused, Invalid; Busy and Unavailable when it was not kept.

        An application that it brings along is created when there is none, and then the message is taken once more.
        """
        message = message_of(said, message_id=MessageId(self._new_id(ids.MESSAGE)), now=self._clock.now())
        reception = await self._received(message)
        if isinstance(reception, UnknownApplication) and said.application is not None:
            await self._create_application(said, said.application)
            reception = await self._received(message)
        return _receipt(reception, message)

    async def _received(self, message: NewMessage) -> Reception:
        """What the intake makes of the message, whose payload is checked if its event type asks for it. Invalid."""
        try:
            message.refuse_untimely()
            return await self._checked(message)
        except Invalid:
            # What would be refused today may have been taken before: whoever repeats it is owed the first answer.
            first = await self._intake.first_use(message)
            if first is None:
                raise
            return first

    async def _checked(self, message: NewMessage) -> Reception:
        """A schema that is changed between the check and the commit is noticed there, and the payload checked again."""
        reception = await self._intake.accept(await self._checks.checked(message))
        for _ in range(MOST_CHECKS):
            if not isinstance(reception, Unchecked):
                break
            reception = await self._intake.accept(await self._checks.checked_afresh(message))
        return reception

    async def _create_application(self, said: Submission, new: NewApplication) -> None:
        """Create the application that a message brings along, unless another message just did. Invalid."""
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
    """The message, with its identifier and its times."""
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
    """Invalid for values that no message can have: the rules of form that the schemas of a way in may have held."""
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
        case _ as never:
            assert_never(never)
