"""Accepting messages, and reading those that were accepted."""

from collections.abc import Awaitable, Callable
from typing import assert_never

from service.application.payload_checks import PayloadChecks
from service.application.ports.intake import Intake
from service.application.ports.machine import Clock
from service.application.ports.pages import MessageFilter, Page, PageRequest
from service.application.ports.repositories import MessageRepository
from service.domain import errors, ids
from service.domain.applications import Application
from service.domain.ids import MessageId
from service.domain.messages import (
    Accepted,
    EventIdTaken,
    KeyReused,
    Message,
    NewMessage,
    Reception,
    Repeated,
    Unchecked,
    UnknownApplication,
)

MOST_CHECKS = 5


async def accept(
    intake: Intake,
    message: NewMessage,
    *,
    checks: PayloadChecks,
    create_application: Callable[[], Awaitable[None]] | None = None,
) -> MessageId:
    """The id under which the message is kept, with every delivery it owes: of a repeat, that of the first.

    `create_application` is called when the application is unknown, and then the message is taken once more.
    NotFound, Conflict, KeyReused, Invalid; Busy and Unavailable when it was not kept.
    """
    match await received(intake, message, checks=checks):
        case Accepted():
            return message.id
        case Repeated(id=first):
            return first
        case KeyReused():
            raise errors.KeyReused
        case EventIdTaken():
            raise errors.Conflict("A message with that eventId already exists")
        case UnknownApplication():
            if create_application is None:
                raise errors.NotFound("Application not found")
            await create_application()
            return await accept(intake, message, checks=checks)
        case Unchecked():
            raise errors.Busy("The event type's schema is being changed. Try again shortly.")
        case _ as never:
            assert_never(never)


async def received(intake: Intake, message: NewMessage, *, checks: PayloadChecks) -> Reception:
    """What the intake makes of the message, whose payload is checked if its event type asks for it. Invalid."""
    try:
        message.refuse_untimely()
        return await _taken(intake, message, checks=checks)
    except errors.Invalid:
        # What would be refused today may have been taken before: whoever repeats it is owed the first answer.
        first = await intake.first_use(message)
        if first is None:
            raise
        return first


async def _taken(intake: Intake, message: NewMessage, *, checks: PayloadChecks) -> Reception:
    """A schema that is changed between the check and the commit is noticed there, and the payload checked again."""
    reception = await intake.accept(await checks.checked(message))
    for _ in range(MOST_CHECKS):
        if not isinstance(reception, Unchecked):
            break
        reception = await intake.accept(await checks.checked_afresh(message))
    return reception


class Messages:
    """The messages of one application."""

    def __init__(self, application: Application, messages: MessageRepository, *, clock: Clock) -> None:
        self._application = application
        self._messages = messages
        self._clock = clock

    async def page(self, page: PageRequest, wanted: MessageFilter) -> Page[Message]:
        """One page of them, by time."""
        wanted = wanted.within_reach(page, now=self._clock.now())
        return await self._messages.page(self._application.id, wanted.opening(page, ids.MESSAGE), wanted)

    async def get(self, ref: str, *, with_content: bool = False) -> Message:
        """NotFound when there is none with this id or event id."""
        message = await self._messages.get(self._application.id, ref, with_content=with_content)
        if message is None:
            raise errors.NotFound("Message not found")
        return message
