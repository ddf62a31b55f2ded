"""Use cases of accepted messages: reading them."""

from service.application.ports.machine import Clock
from service.application.ports.pages import MessageFilter, Page, PageRequest
from service.application.ports.repositories import MessageRepository
from service.domain import errors, ids
from service.domain.applications import Application
from service.domain.messages import Message


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
