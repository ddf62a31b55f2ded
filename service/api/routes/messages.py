"""Messages: send and read them. Sending is the hot path: no session, one parse, one group commit. Most such requests
take the short way of `incoming/short_way.py` and never come here."""

from functools import partial
from typing import Annotated, Any

from fastapi import Path, Request, Response

from service.api.dependencies import MessagesDep, OrganisationDep, ServicesDep
from service.api.idempotency import KeyHeader
from service.api.incoming.messages import take_message
from service.api.json_routes import JsonResponse, JsonRoute
from service.api.operations import Operations
from service.api.parameters import MessagePage, MessageRef, WantedMessages, WithContent
from service.api.problems import documented
from service.api.schemas.messages import MessageOut, fields_of
from service.api.schemas.pages import ListOut, listed_raw
from service.api.schemas.rules import GivenName

router = Operations(prefix="/app/{app_id}/msg", tags=["Message"], route_class=JsonRoute)

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/MessageIn"}}},
    }
}

AppRef = Annotated[GivenName, Path(description="The application's id or uid.")]


@router.post(
    "",
    status_code=202,
    response_model=MessageOut,
    operation_id="v1.message.create",
    responses=documented(404, 408, 409, 413, 429),
    openapi_extra=_BODY,
)
async def create_message(
    *,
    request: Request,
    app_id: AppRef,
    caller: OrganisationDep,
    services: ServicesDep,
    idempotency_key: KeyHeader = None,
    with_content: WithContent = True,
) -> Response:
    """Send a message to an application: 202 once it and every delivery it owes are kept."""
    body = await take_message(
        request,
        app_id=app_id,
        caller=caller,
        services=services,
        key=idempotency_key,
        with_content=with_content,
    )
    return Response(body, status_code=202, media_type="application/json")


@router.get("", response_model=ListOut[MessageOut], operation_id="v1.message.list", responses=documented(404))
async def list_messages(messages: MessagesDep, page: MessagePage, wanted: WantedMessages) -> Response:
    """List the messages of an application, newest first."""
    found = await messages.page(page, wanted)
    show = partial(fields_of, with_content=wanted.with_content)
    return JsonResponse(listed_raw(found, key=lambda message: message.id, show=show))


@router.get("/{msg_id}", response_model=MessageOut, operation_id="v1.message.get", responses=documented(404))
async def get_message(
    *,
    msg_id: MessageRef,
    messages: MessagesDep,
    with_content: WithContent = True,
) -> Response:
    """Get a message by its id or event id."""
    message = await messages.get(msg_id, with_content=with_content)
    return JsonResponse(fields_of(message, with_content=with_content))
