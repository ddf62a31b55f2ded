"""Examples: send an example message to an endpoint now, and check whether a message would reach any endpoint."""

from functools import partial
from typing import Annotated
from uuid import uuid4

import structlog
from fastapi import Depends, Request, Response
from opentelemetry import trace

from service.api.dependencies import AttemptsDep, ExamplesDep, ServicesDep, UnitOfWorkDep, organisation
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import PayloadRoute
from service.api.operations import Operations
from service.api.parameters import EndpointRef
from service.api.problems import documented
from service.api.schemas.examples import EventExampleIn, ExampleOut, MessagePrecheckIn, MessagePrecheckOut
from service.application.examples import Example, Examples
from service.application.raw_json import Members
from service.domain.deliveries import Attempt
from service.observability.correlation import traceparent

router = Operations(prefix="/app/{app_id}", route_class=PayloadRoute)

_with_payload = Members(("payload",))


async def written_payload(request: Request, body: EventExampleIn) -> bytes | None:
    """The caller's own payload as it was written. To write it anew would cost time, for long numbers much."""
    return None if body.payload is None else _with_payload.of(await request.body())["payload"]


@router.post(
    "/endpoint/{endpoint_id}/send-example",
    tags=["Endpoint"],
    response_model=ExampleOut,
    operation_id="v1.endpoint.send-example",
    responses=documented(400, 404, 409),
)
async def send_example(
    *,
    endpoint_id: EndpointRef,
    body: EventExampleIn,
    payload: Annotated[bytes | None, Depends(written_payload)],
    examples: ExamplesDep,
    attempts: AttemptsDep,
    services: ServicesDep,
    work: UnitOfWorkDep,
    once: OnceDep,
) -> Response:
    """Send an example to an endpoint now, whatever it subscribes to, and answer what the receiver said."""
    answered = await once.repeated()
    if answered is not None:
        return answered
    example = await examples.prepare(
        endpoint_id,
        body.event_type,
        index=body.example_index,
        payload=payload,
        correlation_id=structlog.contextvars.get_contextvars().get("correlation_id") or uuid4().hex,
        traceparent=traceparent(trace.get_current_span().get_span_context()),
    )
    await work.rollback()  # releases the connection and the idempotency key while the receiver is called
    attempt = await attempts.once(example.claim)
    return await once.answer(partial(_keep, examples, example, attempt, trace_url=services.trace_url))


@router.post(
    "/msg/precheck/active",
    tags=["Message"],
    response_model=MessagePrecheckOut,
    dependencies=[Depends(organisation)],
    operation_id="v1.message.precheck",
    responses=documented(404, 409),
)
async def precheck_message(body: MessagePrecheckIn, examples: ExamplesDep, once: OnceDep) -> Response:
    """Tell whether any endpoint would be sent such a message."""

    async def check() -> Answer:
        active = await examples.wanted(body.event_type, body.channels)
        return Answer(body=MessagePrecheckOut(active=active), status=200)

    return await once.answer(check)


async def _keep(examples: Examples, example: Example, attempt: Attempt, *, trace_url: str | None) -> Answer:
    await examples.keep(example, attempt)
    return Answer(body=ExampleOut.of(example.message, attempt, trace_url=trace_url), status=200)
