"""Use cases of examples: send an example to an endpoint while the caller waits, and ask whether anybody wants a
message."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from service.application import exact_json, json_schemas
from service.application.intake import message_of
from service.application.made_examples import made
from service.application.ports.machine import Clock, NewId
from service.application.ports.repositories import EndpointRepository, EventTypeRepository, ExampleRepository
from service.domain import ids
from service.domain.applications import Application
from service.domain.deliveries import Attempt, Claim, Trigger
from service.domain.destinations import opened
from service.domain.endpoints import Endpoint, wants_trace
from service.domain.errors import Invalid, NoExample, NotFound
from service.domain.event_types import EventType
from service.domain.ids import MessageId
from service.domain.messages import NewMessage, Submission
from service.domain.subscriptions import refuse_disabled

PING = "svix.ping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An example that is ready to be sent. Its `claim` has all that an attempt needs, so no transaction is open
    then."""

    message: NewMessage
    endpoint: Endpoint
    claim: Claim


class Examples:
    """The examples of one application."""

    def __init__(
        self,
        application: Application,
        *,
        endpoints: EndpointRepository,
        event_types: EventTypeRepository,
        examples: ExampleRepository,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._application = application
        self._endpoints = endpoints
        self._event_types = event_types
        self._examples = examples
        self._clock = clock
        self._new_id = new_id

    async def prepare(
        self,
        ref: str,
        event_type: str,
        *,
        index: int | None,
        payload: bytes | None,
        correlation_id: str,
        traceparent: str | None,
    ) -> Example:
        """Make an example ready to be sent: this payload (a JSON object), or else the event type's example. Raises
        NotFound, EndpointDisabled, NoExample, Invalid."""
        endpoint = await self._endpoints.get(self._application.id, ref)
        if endpoint is None:
            raise NotFound
        refuse_disabled(endpoint)
        if payload is None:
            payload = exact_json.written(await self.payload(event_type, index))
        now = self._clock.now()
        said = Submission(
            org_id=self._application.org_id,
            app=self._application.id,
            event_type=event_type,
            payload=payload,
            correlation_id=correlation_id,
            traceparent=traceparent,
        )
        message = message_of(said, message_id=MessageId(self._new_id(ids.MESSAGE, at=now)), now=now)
        return Example(message=message, endpoint=endpoint, claim=await self._claim(message, endpoint))

    async def payload(self, name: str, index: int | None = None) -> dict[str, Any]:
        """The payload of an event type's example, the first one unless `index` counts to another. Raises NotFound,
        NoExample, Invalid."""
        if name == PING:
            return {"success": True}
        event_type = await self._event_types.get(self._application.org_id, name)
        if event_type is None:
            raise NotFound("There is no event type of that name.")
        found = examples_of(event_type)
        if not found:
            raise NoExample
        if index is not None and index >= len(found):
            raise Invalid(f"There are {len(found)} examples, counted from 0.", field=("example_index",))
        payload = found[index or 0]
        if not isinstance(payload, dict):
            raise NoExample
        return payload

    async def keep(self, example: Example, attempt: Attempt) -> None:
        """Store the example and its attempt like any other message."""
        await self._examples.keep(example.message, attempt, example.endpoint)

    async def wanted(self, event_type: str, channels: Collection[str] | None) -> bool:
        """Whether any endpoint of the application wants such a message."""
        return await self._examples.wanted(self._application.id, event_type, channels)

    async def _claim(self, message: NewMessage, endpoint: Endpoint) -> Claim:
        headers = await self._endpoints.headers(endpoint.id)
        return Claim(
            message_id=message.id,
            endpoint_id=endpoint.id,
            app_id=endpoint.app_id,
            app_uid=self._application.uid,
            org_id=endpoint.org_id,
            lease="",
            resend=self._new_id(ids.TASK),
            attempt=1,
            trigger=Trigger.MANUAL,
            due_at=message.accepted_at,
            accepted_at=message.accepted_at,
            event_type=message.event_type,
            channels=None,
            payload=message.payload,
            destination=opened(endpoint.destination, headers),
            secrets=await self._endpoints.secrets(endpoint.id),
            endpoint_active=True,
            correlation_id=message.correlation_id,
            traceparent=message.traceparent,
            wants_trace=wants_trace(endpoint.metadata),
        )


def examples_of(event_type: EventType) -> list[Any]:
    """The examples in the first schema version that has any; without any, one generated from the newest version. Raises
    NoExample for what an earlier release took and is not read any more."""
    try:
        schemas = exact_json.read(event_type.schemas or "{}")
    except ValueError as error:
        raise NoExample(f"Unable to generate an example message: in the event type's schemas {error}.") from None
    for version in sorted(schemas, key=lambda name: (name != "1", name)):
        schema = schemas[version]
        if isinstance(schema, dict) and isinstance(schema.get("examples"), list) and schema["examples"]:
            return list(schema["examples"])
        if isinstance(schema, dict) and "example" in schema:
            return [schema["example"]]
    newest = json_schemas.newest(event_type.schemas)
    return [] if newest is None else [made(exact_json.read(newest))]
