"""Sending an example to an endpoint while the caller waits, and telling beforehand who would be sent a message."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from service.application import exact_json, json_schemas
from service.application.made_examples import made
from service.application.ports.destinations import Sender
from service.application.ports.machine import Clock, NewId
from service.application.ports.repositories import EndpointRepository, EventTypeRepository, ExampleRepository
from service.application.signing import Signing
from service.domain import ids
from service.domain.addresses import address
from service.domain.applications import Application
from service.domain.deliveries import Attempt, Claim, Trigger, attempt_of
from service.domain.endpoints import Endpoint
from service.domain.errors import EndpointDisabled, Invalid, NoExample, NotFound
from service.domain.event_types import EventType
from service.domain.ids import AttemptId, MessageId
from service.domain.messages import NewMessage
from service.domain.retries import Delivered, Exhausted
from service.domain.signatures import Secret
from service.observability.deliveries import DeliveryTelemetry

PING = "svix.ping"
KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """All that is needed to send one, so that nothing has to be held while the receiver takes its time."""

    message: NewMessage
    endpoint: Endpoint
    secrets: tuple[Secret, ...]
    headers: dict[str, str]


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
        payload: dict[str, Any] | None,
        correlation_id: str,
        traceparent: str | None,
    ) -> Example:
        """An example that is ready to be sent. NotFound, EndpointDisabled, NoExample, Invalid."""
        endpoint = await self._endpoints.get(self._application.id, ref)
        if endpoint is None:
            raise NotFound
        if endpoint.disabled:
            raise EndpointDisabled
        if payload is None:
            payload = await self._payload(event_type, index)
        now = self._clock.now()
        message = NewMessage(
            id=MessageId(self._new_id(ids.MESSAGE, at=now)),
            org_id=self._application.org_id,
            app=self._application.id,
            event_type=event_type,
            payload=exact_json.written(payload),
            accepted_at=now,
            expires_at=now + KEPT,
            correlation_id=correlation_id,
            traceparent=traceparent,
        )
        return Example(
            message=message,
            endpoint=endpoint,
            secrets=await self._endpoints.secrets(endpoint.id),
            headers=await self._endpoints.headers(endpoint.id),
        )

    async def keep(self, example: Example, attempt: Attempt) -> None:
        """Keep the example and what came of it, so that it is found where every message is."""
        await self._examples.keep(example.message, attempt, example.endpoint)

    async def wanted(self, event_type: str, channels: Collection[str] | None) -> bool:
        """Whether any endpoint would be sent such a message."""
        return await self._examples.wanted(self._application.id, event_type, channels)

    async def _payload(self, name: str, index: int | None) -> dict[str, Any]:
        if name == PING:
            return {"success": True}
        event_type = await self._event_types.get(self._application.org_id, name)
        if event_type is None:
            raise NotFound("There is no event type of that name.")
        found = _examples(event_type)
        if not found:
            raise NoExample
        if index is not None and index >= len(found):
            raise Invalid(f"There are {len(found)} examples, counted from 0.", loc=("body", "exampleIndex"))
        payload = found[index or 0]
        if not isinstance(payload, dict):
            raise NoExample
        return payload


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleCall:
    """Makes the one attempt of an example, signed and told like any other. `new_id` takes a prefix and a time."""

    signing: Signing
    telemetry: DeliveryTelemetry
    clock: Clock
    new_id: NewId

    async def send(self, example: Example, sender: Sender) -> Attempt:
        """What the receiver said to it. No transaction may be open meanwhile."""
        claim, now = self._claim(example), self.clock.now()
        signed = self.signing.headers(
            example.secrets, message_id=claim.message_id, at=now, body=example.message.payload
        )
        with self.telemetry.attempting(claim, at=now) as told:
            with told.calling("POST", **address(claim.url)):
                outcome = await sender.send(
                    url=claim.url, headers={**claim.headers, **signed}, body=example.message.payload
                )
            verdict = Delivered() if outcome.succeeded else Exhausted(reason="manual")
            told.attempted(outcome, verdict=verdict, number=claim.attempt, now=self.clock.now())
        attempt_id = AttemptId(self.new_id(ids.ATTEMPT, at=now))
        return attempt_of(claim, outcome, id=attempt_id, started_at=ids.time_of(attempt_id), trace_id=told.trace_id)

    def _claim(self, example: Example) -> Claim:
        message, endpoint = example.message, example.endpoint
        return Claim(
            message_id=message.id,
            endpoint_id=endpoint.id,
            app_id=endpoint.app_id,
            org_id=endpoint.org_id,
            lease="",
            resend=self.new_id(ids.TASK),
            attempt=1,
            trigger=Trigger.MANUAL,
            due_at=message.accepted_at,
            accepted_at=message.accepted_at,
            event_type=message.event_type,
            channels=None,
            payload=message.payload,
            url=endpoint.url,
            headers=example.headers,
            secrets=example.secrets,
            endpoint_active=True,
            correlation_id=message.correlation_id,
            traceparent=message.traceparent,
        )


def _examples(event_type: EventType) -> list[Any]:
    """Those of the first version that has any, a list of them or one; without any, one that is made from the newest."""
    schemas = exact_json.read(event_type.schemas or "{}")
    for version in sorted(schemas, key=lambda name: (name != "1", name)):
        schema = schemas[version]
        if isinstance(schema, dict) and isinstance(schema.get("examples"), list) and schema["examples"]:
            return list(schema["examples"])
        if isinstance(schema, dict) and "example" in schema:
            return [schema["example"]]
    newest = json_schemas.newest(event_type.schemas)
    return [] if newest is None else [made(exact_json.read(newest))]
