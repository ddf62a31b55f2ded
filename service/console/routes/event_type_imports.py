"""Event types from the webhooks of an OpenAPI document: what an import would do is shown, and then it is done."""

from collections.abc import Sequence
from hashlib import sha256

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from service.api.dependencies import CallerDep, EventTypesDep, ServicesDep, UnitOfWorkDep
from service.api.problems import fault_of
from service.api.routes.environments import UNDESCRIBED_FIELDS, described_by
from service.api.schemas.environments import EventTypeImportOpenApiIn
from service.api.services import Services
from service.application.access import Caller
from service.application.event_types import EventTypes
from service.console.differences import changes
from service.console.forms import Form, FormDep
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.domain.errors import Invalid, UnusableSpecification
from service.domain.event_types import EventType, NewEventType

FORM = "event_type_import.html"
MOST_SHOWN = 100  # changes with before and after

router = pages()
routers = (router,)


@router.get("/event-types/import", operation_id="v1.event-type.import-openapi")
async def show_form(request: Request) -> Response:
    """Show the form for an OpenAPI document."""
    return page(request, FORM, form=Form(), problems={}, found=None)


@router.post("/event-types/import", operation_id="v1.event-type.import-openapi")
async def import_event_types(
    *,
    request: Request,
    event_types: EventTypesDep,
    caller: CallerDep,
    services: ServicesDep,
    work: UnitOfWorkDep,
    form: FormDep,
) -> Response:
    """Show what the document would change, or do it, if this is the document whose changes were shown."""
    with refused_with(FORM, form, found=None):
        await work.rollback()  # a process reads the document, and needs no connection meanwhile
        described = await _described(form, caller, services)
        is_seen = form.get("seen") == _mark(form)
        request.state.tried = not is_seen
        modified = await event_types.take_over(
            described, unsaid=UNDESCRIBED_FIELDS, archive_others=form.has("replaceAll"), dry_run=not is_seen
        )
    if is_seen:
        return go("/event-types", done="imported")
    found = await _compared(described, modified, event_types)
    return page(request, FORM, form=form, problems={}, found=found, seen=_mark(form))


async def _described(form: Form, caller: Caller, services: Services) -> list[NewEventType]:
    """The event types of the document. Raises Invalid."""
    text = form.text("spec")
    if not text.strip():
        raise Invalid("Give an OpenAPI document, as JSON or YAML.", field=("spec",))
    body = EventTypeImportOpenApiIn.model_validate({"specRaw": text, "replaceAll": form.has("replaceAll")})
    try:
        return await described_by(body, caller, services)
    except UnusableSpecification as error:
        raise Invalid(error.detail, field=("spec",)) from None
    except RequestValidationError as error:
        fault = fault_of(error.errors()[0])
        raise Invalid(f"A webhook's {fault.loc[-1]} cannot be used: {fault.msg}", field=("spec",)) from None


async def _compared(
    described: Sequence[NewEventType], modified: Sequence[NewEventType | EventType], event_types: EventTypes
) -> dict[str, object]:
    """What the import would do, for the page."""
    names = {new.name for new in described}
    of_document = [one for one in modified if one.name in names]
    archived = len(modified) - len(of_document)
    shown = {one.name for one in of_document[:MOST_SHOWN]}
    existing = set()
    known = {}
    async for event_type in event_types.named([one.name for one in of_document]):
        existing.add(event_type.name)
        if event_type.name in shown:
            known[event_type.name] = event_type
    return {
        "new": len(of_document) - len(existing),
        "changed": len(existing),
        "archived": archived,
        "unchanged": sorted(names - {one.name for one in of_document}),
        "changes": changes(modified, known, most=MOST_SHOWN),
        "all": len(modified),
    }


def _mark(form: Form) -> str:
    """Tells one document, with what is to be done with it, from another."""
    return sha256(f"{form.has('replaceAll')} {form.text('spec')}".encode()).hexdigest()
