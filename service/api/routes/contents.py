"""Contents: expunge payloads of messages and responses of receivers."""

from fastapi import Depends, Response

from service.api.dependencies import ContentsDep, DeliveriesDep, MessagesDep, organisation
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import AttemptRef, MessageRef
from service.api.problems import documented
from service.api.schemas.background_tasks import TaskStarted
from service.api.schemas.contents import BulkExpungeContentsIn, BulkExpungeContentsOut

router = Operations(
    prefix="/app/{app_id}/msg", tags=["Message"], route_class=JsonRoute, dependencies=[Depends(organisation)]
)


@router.delete(
    "/{msg_id}/content", status_code=204, operation_id="v1.message.expunge-content", responses=documented(404)
)
async def expunge_content(msg_id: MessageRef, messages: MessagesDep, contents: ContentsDep) -> None:
    """Remove a message's payload. What is still owed of it is not sent."""
    await contents.expunge(await messages.get(msg_id))


@router.delete(
    "/{msg_id}/attempt/{attempt_id}/content",
    tags=["Message Attempt"],
    status_code=204,
    operation_id="v1.message-attempt.expunge-content",
    responses=documented(404),
)
async def expunge_attempt_content(
    msg_id: MessageRef, attempt_id: AttemptRef, messages: MessagesDep, deliveries: DeliveriesDep, contents: ContentsDep
) -> None:
    """Remove what the receiver answered to an attempt."""
    await contents.expunge_attempt(await deliveries.attempt(await messages.get(msg_id), attempt_id))


@router.post(
    "/bulk-expunge",
    response_model=BulkExpungeContentsOut,
    operation_id="v1.message.bulk-expunge-content",
    responses=documented(404, 409),
)
async def bulk_expunge_content(body: BulkExpungeContentsIn, contents: ContentsDep, once: OnceDep) -> Response:
    """Remove the payloads of up to 1000 messages."""

    async def expunge() -> Answer:
        found = await contents.expunge_several(body.ids or [])
        return Answer(body=BulkExpungeContentsOut.of(found), status=200)

    return await once.answer(expunge)


@router.post(
    "/expunge-all-contents",
    status_code=202,
    response_model=TaskStarted,
    operation_id="v1.message.expunge-all-contents",
    responses=documented(404, 409),
)
async def expunge_all_contents(contents: ContentsDep, once: OnceDep) -> Response:
    """Remove, as a background task, the payloads of every message that was accepted so far."""

    async def expunge() -> Answer:
        return Answer(body=TaskStarted.of(await contents.expunge_all()), status=202)

    return await once.answer(expunge)
