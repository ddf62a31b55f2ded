"""Deliveries: attempts by endpoint and by message, destinations of a message, and resending."""

from functools import partial
from typing import Annotated

from fastapi import Query, Response

from service.api.dependencies import DeliveriesDep, EndpointsDep, MessagesDep, ServicesDep
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonResponse, JsonRoute
from service.api.operations import Operations
from service.api.parameters import (
    AttemptPage,
    AttemptRef,
    DestinationPage,
    EndpointRef,
    MessagePage,
    MessageRef,
    OfEndpoint,
    WantedAttempts,
)
from service.api.problems import documented
from service.api.schemas.deliveries import (
    EmptyResponse,
    EndpointMessageOut,
    MessageAttemptOut,
    MessageEndpointOut,
    endpoint_message_of,
)
from service.api.schemas.pages import ListOut, listed, listed_raw
from service.domain.deliveries import Attempt
from service.domain.ids import MessageId
from service.domain.messages import Message

WithMessage = Annotated[bool, Query(description="Whether each attempt comes with its message, without the payload.")]
ExpandedStatuses = Annotated[bool, Query(description="When false, what was canceled is told as Success (0).")]

router = Operations(prefix="/app/{app_id}", tags=["Message Attempt"], route_class=JsonRoute)


@router.get(
    "/attempt/endpoint/{endpoint_id}", operation_id="v1.message-attempt.list-by-endpoint", responses=documented(404)
)
async def list_attempts_by_endpoint(
    *,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    deliveries: DeliveriesDep,
    services: ServicesDep,
    page: AttemptPage,
    wanted: WantedAttempts,
    with_msg: WithMessage = False,
) -> ListOut[MessageAttemptOut]:
    """List the attempts to reach an endpoint, newest first; with `with_msg` each with its message, without payload."""
    found = await deliveries.by_endpoint(await endpoints.get(endpoint_id), page, wanted)
    heads = await deliveries.heads(found.items) if with_msg else {}
    show = partial(_shown, with_content=wanted.with_content, heads=heads, trace_url=services.trace_url)
    return listed(found, key=_id, show=show)


@router.get("/attempt/msg/{msg_id}", operation_id="v1.message-attempt.list-by-msg", responses=documented(404))
async def list_attempts_by_message(
    *,
    msg_id: MessageRef,
    messages: MessagesDep,
    endpoints: EndpointsDep,
    deliveries: DeliveriesDep,
    services: ServicesDep,
    page: AttemptPage,
    wanted: WantedAttempts,
    endpoint_id: OfEndpoint = None,
) -> ListOut[MessageAttemptOut]:
    """List the attempts to deliver a message, newest first, to one endpoint or to all."""
    message = await messages.get(msg_id)
    if endpoint_id is not None:
        wanted = wanted.of_endpoint((await endpoints.get(endpoint_id)).id)
    found = await deliveries.by_message(message, page, wanted)
    show = partial(_shown, with_content=wanted.with_content, heads={}, trace_url=services.trace_url)
    return listed(found, key=_id, show=show)


@router.get(
    "/endpoint/{endpoint_id}/msg",
    response_model=ListOut[EndpointMessageOut],
    operation_id="v1.message-attempt.list-attempted-messages",
    responses=documented(404),
)
async def list_attempted_messages(
    *,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    deliveries: DeliveriesDep,
    page: MessagePage,
    wanted: WantedAttempts,
    expanded_statuses: ExpandedStatuses = True,
) -> Response:
    """List the messages that were tried at an endpoint, newest first, and how each stands."""
    found = await deliveries.messages(await endpoints.get(endpoint_id), page, wanted)
    shown = listed_raw(
        found,
        key=lambda item: item[0].id,
        show=lambda item: endpoint_message_of(
            *item, with_content=wanted.with_content, expanded_statuses=expanded_statuses
        ),
    )
    return JsonResponse(shown)


@router.get(
    "/msg/{msg_id}/endpoint",
    operation_id="v1.message-attempt.list-attempted-destinations",
    responses=documented(404),
)
async def list_attempted_destinations(
    msg_id: MessageRef, messages: MessagesDep, deliveries: DeliveriesDep, page: DestinationPage
) -> ListOut[MessageEndpointOut]:
    """List the endpoints that a message was tried at, and how each stands."""
    found = await deliveries.destinations(await messages.get(msg_id), page)
    return listed(found, key=lambda item: item[0].id, show=lambda item: MessageEndpointOut.of(*item))


@router.get("/msg/{msg_id}/attempt/{attempt_id}", operation_id="v1.message-attempt.get", responses=documented(404))
async def get_attempt(
    msg_id: MessageRef, attempt_id: AttemptRef, messages: MessagesDep, deliveries: DeliveriesDep, services: ServicesDep
) -> MessageAttemptOut:
    """Get one attempt by its id, with what the receiver answered."""
    attempt = await deliveries.attempt(await messages.get(msg_id), attempt_id)
    return MessageAttemptOut.of(attempt, trace_url=services.trace_url)


@router.post(
    "/msg/{msg_id}/endpoint/{endpoint_id}/resend",
    status_code=202,
    response_model=EmptyResponse,
    operation_id="v1.message-attempt.resend",
    responses=documented(400, 404, 409),
)
async def resend_message(
    *,
    msg_id: MessageRef,
    endpoint_id: EndpointRef,
    messages: MessagesDep,
    endpoints: EndpointsDep,
    deliveries: DeliveriesDep,
    once: OnceDep,
) -> Response:
    """Send a message to an endpoint once more. A success ends what is scheduled, a failure changes nothing of it."""

    async def resend() -> Answer:
        message = await messages.get(msg_id, with_content=True)
        await deliveries.resend(message, await endpoints.get(endpoint_id))
        return Answer(body=EmptyResponse(), status=202)

    return await once.answer(resend)


def _id(attempt: Attempt) -> str:
    return attempt.id


def _shown(
    attempt: Attempt, *, with_content: bool, heads: dict[MessageId, Message], trace_url: str | None
) -> MessageAttemptOut:
    message = heads.get(attempt.message_id)
    return MessageAttemptOut.of(attempt, with_content=with_content, message=message, trace_url=trace_url)
