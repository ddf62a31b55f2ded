"""Messages: send and read them. Sending is the hot path: no session, one parse, one group commit."""

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import Path, Request, Response

from service.api.dependencies import MessagesDep, OrganisationDep, ServicesDep
from service.api.idempotency import KeyHeader, key_of_request
from service.api.incoming.messages import read_message, said_by
from service.api.incoming.short_way import MessageRoute
from service.api.json_routes import JsonResponse
from service.api.operations import Operations
from service.api.parameters import MessagePage, MessageRef, WantedMessages, WithContent
from service.api.problems import documented
from service.api.schemas.messages import LEFT_OUT, MessageHead, MessageOut, fields_of, head_as_said, shown_payload
from service.api.schemas.pages import ListOut, listed_raw
from service.api.schemas.rules import GivenName
from service.application.intake import Kept, SameAgain
from service.application.use_cases import submissions
from service.domain.errors import Conflict
from service.domain.ids import MessageId
from service.observability.naming import name

router = Operations(prefix="/app/{app_id}/msg", tags=["Message"], route_class=MessageRoute)

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
    body = await request.body()
    head, payload = read_message(body, tell_in=request.scope)
    key = key_of_request(request, caller, body=body, key=idempotency_key)
    said = said_by(caller, request=request.scope, app=app_id, head=head, payload=payload, key=key)
    message_id = _id_of(await submissions(services).submit(said))
    name(message_id=message_id)
    shown = _echoed(head, payload) if with_content else LEFT_OUT
    return JsonResponse(head_as_said(said, message_id) | {"payload": shown}, status_code=202)


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


def _echoed(head: MessageHead, payload: bytes) -> orjson.Fragment:
    # Only a raw payload has to be checked: any other is known to be a JSON object.
    return orjson.Fragment(payload) if head.raw_payload is None else shown_payload(head.raw_payload)


def _id_of(receipt: Kept | SameAgain) -> MessageId:
    """The id of the message: for a repeated key that of the first. Conflict for another message with the event id."""
    if receipt.id is None:
        raise Conflict("A message with that eventId already exists")
    return receipt.id
