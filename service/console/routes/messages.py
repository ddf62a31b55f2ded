"""Messages of an application: their list by filters, and one with its payload and the timeline of its deliveries."""

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from service.api.dependencies import (
    ApplicationDep,
    ContentsDep,
    DeliveriesDep,
    EndpointsDep,
    MessagesDep,
    ServicesDep,
)
from service.api.lasting import LastingApplicationDep, ReadingDep
from service.api.parameters import EndpointRef, MessagePage, MessageRef, WantedMessages, storable
from service.api.routes.streams import export_messages
from service.application.deliveries import Deliveries
from service.application.ports.pages import STANDING, AttemptFilter, PageRequest
from service.console.listings import kept_filters, listing
from service.console.pages import go, page, pages
from service.console.timeline import timeline
from service.domain import ids
from service.domain.deliveries import Attempt, Status
from service.domain.limits import MAX_PAGE_ITEMS
from service.domain.messages import Message

router = pages("/app/{app_id}")
routers = (router,)


@router.get("/messages", operation_id="v1.message.list")
async def list_messages(
    *,
    request: Request,
    application: ApplicationDep,
    messages: MessagesDep,
    asked: MessagePage,
    wanted: WantedMessages,
    named: Annotated[str, Query(alias="id"), AfterValidator(storable)] = "",
) -> Response:
    """List messages, newest first, by filters; with an id or event id, show that message instead."""
    if named:
        message = await messages.get(named.strip())
        return go(f"/app/{application.id}/msg/{message.id}")
    found = await messages.page(asked, wanted)
    return page(
        request,
        "messages.html",
        application=application,
        found=listing(found, asked, request.query_params, key=lambda one: one.id),
        wanted=wanted,
        statuses=STANDING,
        filters=kept_filters(request.query_params),
    )


@router.get("/messages/export", operation_id="v1.message.export", response_class=StreamingResponse)
async def export(application: LastingApplicationDep, reading: ReadingDep, wanted: WantedMessages) -> Response:
    """Save the messages that the filters leave as lines of JSON, oldest first, as the API exports them."""
    exported = await export_messages(application, reading, wanted)
    exported.headers["content-disposition"] = f'attachment; filename="{application.id}.jsonl"'
    return exported


@router.get("/msg/{msg_id}", operation_id="v1.message.get")
async def show_message(
    *,
    request: Request,
    application: ApplicationDep,
    msg_id: MessageRef,
    messages: MessagesDep,
    deliveries: DeliveriesDep,
    services: ServicesDep,
) -> Response:
    """Show a message: what it says, where it went, and what became of it."""
    message = await messages.get(msg_id, with_content=True)
    destinations = await deliveries.destinations(message, PageRequest(limit=MAX_PAGE_ITEMS, ascending=True))
    attempts = await _attempts(deliveries, message)
    return page(
        request,
        "message.html",
        application=application,
        message=message,
        line=timeline(destinations.items, attempts, accepted_at=ids.time_of(message.id)),
        complete=destinations.done,
        trace_url=services.trace_url,
        logs_url=services.logs_url,
        failed=any(state.status is Status.FAIL for _, state in destinations.items),
    )


@router.post("/msg/{msg_id}/endpoint/{endpoint_id}/resend", operation_id="v1.message-attempt.resend")
async def resend(
    *,
    application: ApplicationDep,
    msg_id: MessageRef,
    endpoint_id: EndpointRef,
    messages: MessagesDep,
    endpoints: EndpointsDep,
    deliveries: DeliveriesDep,
) -> Response:
    """Send a message to one endpoint once more."""
    message = await messages.get(msg_id, with_content=True)
    await deliveries.resend(message, await endpoints.get(endpoint_id))
    return go(f"/app/{application.id}/msg/{message.id}", done="resent")


@router.post("/msg/{msg_id}/resend-failed", operation_id="v1.message-attempt.resend")
async def resend_failed(
    application: ApplicationDep, msg_id: MessageRef, messages: MessagesDep, deliveries: DeliveriesDep
) -> Response:
    """Send a message once more to every enabled endpoint where it failed."""
    message = await messages.get(msg_id, with_content=True)
    destinations = await deliveries.destinations(message, PageRequest(limit=MAX_PAGE_ITEMS, ascending=True))
    failed = [endpoint for endpoint, state in destinations.items if state.status is Status.FAIL]
    for endpoint in failed:
        if not endpoint.disabled:
            await deliveries.resend(message, endpoint)
    return go(f"/app/{application.id}/msg/{message.id}", done="resent" if failed else "nothing-to-resend")


@router.post("/msg/{msg_id}/expunge", operation_id="v1.message.expunge-content")
async def expunge(
    application: ApplicationDep, msg_id: MessageRef, messages: MessagesDep, contents: ContentsDep
) -> Response:
    """Remove a message's payload for good."""
    message = await messages.get(msg_id)
    await contents.expunge(message)
    return go(f"/app/{application.id}/msg/{message.id}", done="expunged")


async def _attempts(deliveries: Deliveries, message: Message) -> list[Attempt]:
    """The latest attempts of the message, as many as a page of the API has."""
    found = await deliveries.by_message(message, PageRequest(limit=MAX_PAGE_ITEMS), AttemptFilter())
    return list(found.items)
