"""Use cases of deliveries: attempts, the endpoints of a message, resend."""

from collections.abc import Callable, Sequence

from service.application.ports.machine import Clock
from service.application.ports.pages import AttemptFilter, Page, PageRequest
from service.application.ports.repositories import DeliveryRepository, MessageRepository
from service.domain import ids
from service.domain.applications import Application
from service.domain.deliveries import Attempt, DeliveryState
from service.domain.endpoints import Endpoint
from service.domain.errors import MissingPayload, NotFound
from service.domain.ids import AttemptId, MessageId
from service.domain.messages import Message
from service.domain.subscriptions import refuse_disabled
from service.observability.naming import name


class Deliveries:
    """The deliveries of one application."""

    def __init__(
        self,
        application: Application,
        deliveries: DeliveryRepository,
        messages: MessageRepository,
        *,
        clock: Clock,
        new_id: Callable[[str], str],
    ) -> None:
        self._application = application
        self._deliveries = deliveries
        self._messages = messages
        self._clock = clock
        self._new_id = new_id

    async def attempt(self, message: Message, attempt_id: str) -> Attempt:
        """NotFound when the message has no such attempt."""
        attempt = await self._deliveries.attempt(self._application.id, message.id, AttemptId(attempt_id))
        if attempt is None:
            raise NotFound("Message attempt not found")
        return attempt

    async def by_message(self, message: Message, page: PageRequest, wanted: AttemptFilter) -> Page[Attempt]:
        """One page of a message's attempts, by time."""
        wanted = wanted.within_reach(page, now=self._clock.now())
        return await self._deliveries.attempts_by_message(message, wanted.opening(page, ids.ATTEMPT), wanted)

    async def by_endpoint(self, endpoint: Endpoint, page: PageRequest, wanted: AttemptFilter) -> Page[Attempt]:
        """One page of an endpoint's attempts, by time."""
        wanted = wanted.within_reach(page, now=self._clock.now())
        opening = wanted.opening(page, ids.ATTEMPT)
        return await self._deliveries.attempts_by_endpoint(self._application.id, endpoint.id, opening, wanted)

    async def destinations(self, message: Message, page: PageRequest) -> Page[tuple[Endpoint, DeliveryState]]:
        """One page of a message's endpoints, by id, with the state of each delivery."""
        return await self._deliveries.states(message, page)

    async def messages(
        self, endpoint: Endpoint, page: PageRequest, wanted: AttemptFilter
    ) -> Page[tuple[Message, DeliveryState]]:
        """One page of an endpoint's messages, by time, with the state of each delivery."""
        wanted = wanted.within_reach(page, now=self._clock.now())
        opening = wanted.opening(page, ids.MESSAGE)
        return await self._deliveries.messages(self._application.id, endpoint.id, opening, wanted)

    async def heads(self, attempts: Sequence[Attempt]) -> dict[MessageId, Message]:
        """The messages of these attempts, without payloads; deleted ones are missing."""
        found = await self._messages.by_ids(self._application.id, {attempt.message_id for attempt in attempts})
        return {message.id: message for message in found}

    async def resend(self, message: Message, endpoint: Endpoint) -> None:
        """Queue one manual attempt. `message` must have its payload. Raises MissingPayload, EndpointDisabled."""
        if message.payload is None:
            raise MissingPayload
        refuse_disabled(endpoint)
        resend = self._new_id(ids.TASK)
        await self._deliveries.resend(message, endpoint, resend=resend, at=self._clock.now())
        name(message_id=message.id, endpoint_id=endpoint.id, task_id=resend)
