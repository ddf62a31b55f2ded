"""Environments: export and import an organisation's event types, and import them from an OpenAPI document."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from service.api.dependencies import EventTypesDep, OrganisationDep, ServicesDep, organisation
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import DocumentRoute, as_json
from service.api.lasting import ReadingDep
from service.api.operations import Operations
from service.api.problems import documented
from service.api.schemas.environments import (
    EnvironmentIn,
    EnvironmentOut,
    EventTypeImportOpenApiIn,
    EventTypeImportOpenApiOut,
)
from service.api.schemas.event_types import EventTypeIn, EventTypeOut
from service.api.services import Services
from service.application import exact_json, openapi_webhooks
from service.application.access import Caller
from service.application.streams import every_event_type
from service.domain.errors import UnusableSpecification
from service.domain.event_types import EventType, NewEventType

PIECE_BYTES = 64 * 1024
UNDESCRIBED_FIELDS = ("feature_flags", "validate_payloads")

_EVENT_TYPES = b'"eventTypes":['
_NO_EVENT_TYPES = _EVENT_TYPES + b"]"

router = Operations(route_class=DocumentRoute, dependencies=[Depends(organisation)])


@router.post(
    "/environment/export",
    response_model=EnvironmentOut,
    tags=["Environment"],
    operation_id="v1.environment.export",
    responses=documented(),
)
async def export_environment(caller: OrganisationDep, services: ServicesDep, reading: ReadingDep) -> Response:
    """Export the organisation's event types, archived ones included. An answer that breaks off is not complete."""
    pages = every_event_type(caller.org_id, reading)
    # The first page is read before the response begins, so that a failing read is an error and no broken response.
    first = await anext(pages)
    empty = as_json(EnvironmentOut.without_event_types(at=services.clock.now()))
    return StreamingResponse(_exported(empty, first, pages), media_type="application/json")


async def _exported(
    empty: bytes, first: Sequence[EventType], pages: AsyncGenerator[Sequence[EventType], None]
) -> AsyncIterator[bytes]:
    """The document in pieces, with the event types inserted into its empty list. Little of it waits for a client that
    does not read."""
    before, after = empty.split(_NO_EVENT_TYPES)
    piece, separator = bytearray(before + _EVENT_TYPES), b""
    async with aclosing(pages):
        async for page in _with(first, pages):
            for event_type in page:
                piece += separator + as_json(EventTypeOut.of(event_type))
                separator = b","
                if len(piece) >= PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
    yield bytes(piece) + b"]" + after


async def _with(
    first: Sequence[EventType], pages: AsyncGenerator[Sequence[EventType], None]
) -> AsyncIterator[Sequence[EventType]]:
    yield first
    async for page in pages:
        yield page


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
    places = (("event_types", str(at), "schemas") for at in range(len(described)))
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
    *,
    request: Request,
    body: EventTypeImportOpenApiIn,
    event_types: EventTypesDep,
    caller: OrganisationDep,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Create or update event types by the webhooks of an OpenAPI document."""
    request.state.tried = body.dry_run  # nothing happened that the audit trail could tell
    described = await described_by(body, caller, services)

    async def take_over() -> Answer:
        modified = await event_types.take_over(
            described, unsaid=UNDESCRIBED_FIELDS, archive_others=body.replace_all, dry_run=body.dry_run
        )
        return Answer(body=EventTypeImportOpenApiOut.of(modified, dry_run=body.dry_run), status=200)

    return await once.answer(take_over)


async def described_by(body: EventTypeImportOpenApiIn, caller: Caller, services: Services) -> list[NewEventType]:
    """The event types that the document describes, read in a process. UnusableSpecification, RequestValidationError,
    Busy."""
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
    """Check that the event type could have been created through the API. RequestValidationError."""
    said = {"name": described.name, "description": described.description, "groupName": described.group_name}
    try:
        EventTypeIn.model_validate(said)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", "spec", *fault["loc"])} for fault in faults]) from error
