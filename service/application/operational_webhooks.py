"""Operational webhooks: an organisation's operational endpoints, and sending messages to them."""

from datetime import datetime

from service.application.applications import Applications
from service.application.intake import message_of
from service.application.ports.machine import Clock, NewId
from service.application.ports.repositories import ApplicationRepository
from service.application.ports.unit_of_work import Outbox
from service.domain import ids
from service.domain.applications import Application, NewApplication
from service.domain.endpoints import Endpoint
from service.domain.ids import MessageId, OrgId
from service.domain.messages import NewMessage, Submission
from service.domain.operational_webhooks import OPERATIONS, EndpointEvent, OperationalEvent


async def operational_application(
    org_id: OrgId, applications: ApplicationRepository, *, clock: Clock, new_id: NewId
) -> Application:
    """The application with the organisation's operational endpoints, created at first use."""
    known = await applications.get(OPERATIONS, org_id)
    if known is not None:
        return known
    mine = Applications(OPERATIONS, applications, clock=clock, new_id=new_id)
    made, _ = await mine.create_or_get(NewApplication(name="Operational webhooks", uid=org_id))
    return made


class Announcer:
    """Queues operational webhooks about endpoints, in the transaction of the change itself."""

    def __init__(self, outbox: Outbox, *, clock: Clock, new_id: NewId, correlation_id: str) -> None:
        self._outbox = outbox
        self._clock = clock
        self._new_id = new_id
        self._correlation_id = correlation_id

    async def endpoint(self, event_type: EndpointEvent, application: Application, endpoint: Endpoint) -> None:
        """Queue a webhook about a change of an endpoint. Changes of operational endpoints cause none."""
        if application.org_id == OPERATIONS:
            return
        data = {
            "appId": application.id,
            "appUid": application.uid,
            "endpointId": endpoint.id,
            "endpointUid": endpoint.uid,
        }
        event = OperationalEvent(org_id=application.org_id, event_type=event_type, data=data)
        await self._outbox.send(self._message(event))

    def _message(self, event: OperationalEvent) -> NewMessage:
        now = self._clock.now()
        message_id = MessageId(self._new_id(ids.MESSAGE, at=now))
        return operational_message(event, message_id=message_id, correlation_id=self._correlation_id, now=now)


def operational_message(
    event: OperationalEvent, *, message_id: MessageId, correlation_id: str, now: datetime
) -> NewMessage:
    """The event as a message to store."""
    said = Submission(
        org_id=OPERATIONS,
        app=event.org_id,
        event_type=event.event_type,
        payload=event.payload,
        correlation_id=correlation_id,
    )
    return message_of(said, message_id=message_id, now=now)
