"""Setting up an organisation by document: its export, its import, and event types out of an OpenAPI document."""

from fastapi import APIRouter, Depends, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from service.api.dependencies import EventTypesDep, OrganisationDep, ServicesDep, organisation
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import DocumentRoute
from service.api.problems import documented
from service.api.schemas.environments import (
    EnvironmentIn,
    EnvironmentOut,
    EventTypeImportOpenApiIn,
    EventTypeImportOpenApiOut,
)
from service.api.schemas.event_types import EventTypeIn
from service.api.services import Services
from service.application import exact_json, openapi_webhooks
from service.application.access import Caller
from service.domain.errors import UnusableSpecification
from service.domain.event_types import NewEventType

UNSAID = ("feature_flags", "validate_payloads")

router = APIRouter(route_class=DocumentRoute, dependencies=[Depends(organisation)])


@router.post(
    "/environment/export",
    response_model=EnvironmentOut,
    tags=["Environment"],
    operation_id="v1.environment.export",
    responses=documented(409),
)
async def export_environment(event_types: EventTypesDep, services: ServicesDep, once: OnceDep) -> Response:
    """Export the organisation's event types, archived ones included."""

    async def export() -> Answer:
        found = [event_type async for event_type in event_types.every(include_archived=True)]
        return Answer(body=EnvironmentOut.of(found, at=services.clock.now()), status=200)

    return await once.answer(export)


@router.post(
    "/environment/import",
    status_code=204,
    tags=["Environment"],
    operation_id="v1.environment.import",
    responses=documented(409),
)
async def import_environment(
    body: EnvironmentIn, event_types: EventTypesDep, caller: OrganisationDep, services: ServicesDep, once: OnceDep
) -> Response:
    """Set up what was exported. Nothing is deleted, and importing it again changes nothing."""
    described = [event_type.new(event_type.name) for event_type in body.event_types or ()]
    places = (("body", "eventTypes", str(at), "schemas") for at in range(len(described)))
    schemas: dict[tuple[str, ...], str | None] = dict(zip(places, (new.schemas for new in described), strict=True))
    await services.payload_checks.refuse_unusable(caller.org_id, schemas)

    async def take_over() -> Answer:
        await event_types.take_over(described)
        return Answer(status=204)

    return await once.answer(take_over)


@router.post(
    "/event-type/import/openapi",
    response_model=EventTypeImportOpenApiOut,
    tags=["Event Type"],
    operation_id="v1.event-type.import-openapi",
    responses=documented(400, 409),
)
async def import_event_types(
    body: EventTypeImportOpenApiIn,
    event_types: EventTypesDep,
    caller: OrganisationDep,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Create or update event types by the webhooks of an OpenAPI document."""
    described = await _described(body, caller, services)

    async def take_over() -> Answer:
        modified = await event_types.take_over(
            described, unsaid=UNSAID, archive_others=body.replace_all, dry_run=body.dry_run
        )
        return Answer(body=EventTypeImportOpenApiOut.of(modified, dry_run=body.dry_run), status=200)

    return await once.answer(take_over)


async def _described(body: EventTypeImportOpenApiIn, caller: Caller, services: Services) -> list[NewEventType]:
    if (body.spec is None) == (body.spec_raw is None):
        raise UnusableSpecification("Give either `spec` or `specRaw`.")
    text = exact_json.written(body.spec).decode() if body.spec_raw is None else body.spec_raw
    try:
        described = await services.processes.run(openapi_webhooks.read, text, tenant=caller.org_id)
    except TimeoutError:
        raise UnusableSpecification("Reading the document took too long.") from None
    for new in described:
        _refuse_unruly(new)
    return described


def _refuse_unruly(described: NewEventType) -> None:
    """RequestValidationError for an event type that could not have been created by hand."""
    said = {"name": described.name, "description": described.description, "groupName": described.group_name}
    try:
        EventTypeIn.model_validate(said)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", "spec", *fault["loc"])} for fault in faults]) from error
