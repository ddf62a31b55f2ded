"""Event types: create, read, change, archive, delete."""

from typing import Annotated

from fastapi import Depends, Path, Query, Response

from service.api.dependencies import EventTypesDep, OrganisationDep, ServicesDep, organisation
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import DocumentRoute, JsonResponse
from service.api.operations import Operations
from service.api.parameters import EventTypePage, EventTypeRef
from service.api.problems import documented
from service.api.schemas.event_types import EventTypeIn, EventTypeOut, EventTypePatch, EventTypeUpsertIn
from service.api.schemas.pages import ListOut, listed
from service.api.schemas.rules import EventTypeName
from service.api.services import Services
from service.application.access import Caller

router = Operations(prefix="/event-type", tags=["Event Type"], route_class=DocumentRoute)

IncludeArchived = Annotated[bool, Query(description="Whether archived ones are listed too.")]
WithSchemas = Annotated[bool, Query(description="Whether to show the schemas.")]
Expunge = Annotated[bool, Query(description="Whether to remove it for good.")]

_ORGANISATION = [Depends(organisation)]


@router.get("", response_model=ListOut[EventTypeOut], operation_id="v1.event-type.list", responses=documented())
async def list_event_types(
    *,
    event_types: EventTypesDep,
    page: EventTypePage,
    include_archived: IncludeArchived = False,
    with_content: WithSchemas = False,
) -> Response:
    """List the event types of the organisation, by name."""
    found = listed(
        await event_types.page(page, include_archived=include_archived, with_content=with_content),
        key=lambda event_type: event_type.name,
        show=lambda event_type: EventTypeOut.of(event_type, with_content=with_content),
    )
    return JsonResponse(found)


@router.post(
    "",
    status_code=201,
    response_model=EventTypeOut,
    dependencies=_ORGANISATION,
    operation_id="v1.event-type.create",
    responses=documented(409),
)
async def create_event_type(
    body: EventTypeIn, event_types: EventTypesDep, caller: OrganisationDep, services: ServicesDep, once: OnceDep
) -> Response:
    """Create an event type, or bring back an archived one."""
    new = body.new(body.name)
    await _refuse_unusable(new.schemas, caller, services)

    async def create() -> Answer:
        return Answer(body=EventTypeOut.of(await event_types.create(new)), status=201)

    return await once.answer(create)


@router.get(
    "/{event_type_name}", response_model=EventTypeOut, operation_id="v1.event-type.get", responses=documented(404)
)
async def get_event_type(event_type_name: EventTypeRef, event_types: EventTypesDep) -> Response:
    """Get an event type with its schemas."""
    return JsonResponse(EventTypeOut.of(await event_types.get(event_type_name)))


@router.put(
    "/{event_type_name}",
    response_model=EventTypeOut,
    dependencies=_ORGANISATION,
    operation_id="v1.event-type.upsert",
    responses=documented(409, created=EventTypeOut),
)
async def upsert_event_type(
    event_type_name: Annotated[EventTypeName, Path(description="The event type's name, as in `invoice.paid`.")],
    body: EventTypeUpsertIn,
    event_types: EventTypesDep,
    caller: OrganisationDep,
    services: ServicesDep,
) -> Response:
    """Replace an event type, or create it."""
    new = body.new(event_type_name)
    await _refuse_unusable(new.schemas, caller, services)
    event_type, created = await event_types.upsert(new)
    return JsonResponse(EventTypeOut.of(event_type), status_code=201 if created else 200)


@router.patch(
    "/{event_type_name}",
    response_model=EventTypeOut,
    dependencies=_ORGANISATION,
    operation_id="v1.event-type.patch",
    responses=documented(404),
)
async def patch_event_type(
    event_type_name: EventTypeRef,
    body: EventTypePatch,
    event_types: EventTypesDep,
    caller: OrganisationDep,
    services: ServicesDep,
) -> Response:
    """Change some of an event type."""
    changes = body.changes()
    await _refuse_unusable(changes.get("schemas"), caller, services)
    return JsonResponse(EventTypeOut.of(await event_types.patch(event_type_name, changes)))


@router.delete(
    "/{event_type_name}",
    dependencies=_ORGANISATION,
    status_code=204,
    operation_id="v1.event-type.delete",
    responses=documented(404),
)
async def delete_event_type(
    *,
    event_type_name: EventTypeRef,
    event_types: EventTypesDep,
    expunge: Expunge = False,
) -> None:
    """Archive an event type, or with `expunge` remove it for good."""
    await event_types.delete(event_type_name, expunge=expunge)


async def _refuse_unusable(schemas: str | None, caller: Caller, services: Services) -> None:
    # Before the first statement, so that no connection is held while a process compiles the schemas.
    await services.payload_checks.refuse_unusable(caller.org_id, {("schemas",): schemas})
