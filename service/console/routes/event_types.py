"""The catalogue of event types: its list, one with its schemas and example, and the forms that change it."""

from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from service.api.dependencies import CallerDep, EventTypesDep, ServicesDep, UnitOfWorkDep
from service.api.parameters import EventTypePage, EventTypeRef
from service.api.routes.event_types import IncludeArchived
from service.api.schemas.event_types import EventTypeIn, EventTypePatch
from service.application import exact_json
from service.application.examples import examples_of
from service.console.forms import Form, FormDep
from service.console.json_text import editable
from service.console.listings import listing
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.console.schema_table import SchemaTable, table_of
from service.domain.errors import Invalid
from service.domain.event_types import EventType
from service.domain.limits import MAX_SCHEMAS_BYTES

FORM, DELETE = "event_type_form.html", "event_type_delete.html"
MOST_VERSIONS, MOST_TABLES = 20, 5  # of those that are shown, the newest, and of their schemas as tables
MAX_TYPED_CHARACTERS = 4 * MAX_SCHEMAS_BYTES  # with indents; more is not even read

router = pages()
routers = (router,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """A version of an event type's schema; without a table for older ones, and where no table can show it."""

    name: str
    schema: bytes
    table: SchemaTable | None


@router.get("/event-types", operation_id="v1.event-type.list")
async def list_event_types(
    request: Request, event_types: EventTypesDep, asked: EventTypePage, *, include_archived: IncludeArchived = False
) -> Response:
    """List event types by name, archived ones on request."""
    found = await event_types.page(asked, include_archived=include_archived, with_content=False)
    shown = listing(found, asked, request.query_params, key=lambda one: one.name)
    return page(request, "event_types.html", found=shown, include_archived=include_archived)


@router.get("/event-types/new", operation_id="v1.event-type.create")
async def show_form(request: Request) -> Response:
    """Show the form for a new event type."""
    return page(request, FORM, form=Form(), event_type=None, problems={})


@router.post("/event-types/new", operation_id="v1.event-type.create")
async def create(
    *,
    request: Request,
    event_types: EventTypesDep,
    caller: CallerDep,
    services: ServicesDep,
    work: UnitOfWorkDep,
    form: FormDep,
) -> Response:
    """Create an event type, or bring back an archived one."""
    with refused_with(FORM, form, event_type=None):
        new = EventTypeIn.model_validate({"name": form.get("name"), **_body(form)}).new(form.get("name"))
        await work.rollback()  # a process may compile the schemas, and needs no connection meanwhile
        await services.payload_checks.refuse_unusable(caller.org_id, {("schemas",): new.schemas})
        made = await event_types.create(new)
    request.state.made = made.name
    return go(f"/event-type/{made.name}", done="created")


@router.get("/event-type/{event_type_name}", operation_id="v1.event-type.get")
async def show_event_type(request: Request, event_type_name: EventTypeRef, event_types: EventTypesDep) -> Response:
    """Show an event type: each version of its schema as a table, and its example."""
    event_type = await event_types.get(event_type_name)
    versions = versions_of(event_type)
    return page(
        request,
        "event_type.html",
        event_type=event_type,
        versions=versions[:MOST_VERSIONS],
        left_out=len(versions[MOST_VERSIONS:]),
        most_tables=MOST_TABLES,
        example=example_of(event_type),
    )


@router.get("/event-type/{event_type_name}/edit", operation_id="v1.event-type.patch")
async def show_change(request: Request, event_type_name: EventTypeRef, event_types: EventTypesDep) -> Response:
    """Show the form with an event type's fields."""
    event_type = await event_types.get(event_type_name)
    return page(request, FORM, form=_filled(event_type), event_type=event_type, problems={})


@router.post("/event-type/{event_type_name}/edit", operation_id="v1.event-type.patch")
async def change(
    *,
    event_type_name: EventTypeRef,
    event_types: EventTypesDep,
    caller: CallerDep,
    services: ServicesDep,
    work: UnitOfWorkDep,
    form: FormDep,
) -> Response:
    """Change an event type's fields."""
    event_type = await event_types.get(event_type_name)
    with refused_with(FORM, form, event_type=event_type):
        changes = EventTypePatch.model_validate(_body(form)).changes()
        await work.rollback()
        await services.payload_checks.refuse_unusable(caller.org_id, {("schemas",): changes["schemas"]})
        await event_types.patch(event_type_name, changes)
    return go(f"/event-type/{event_type.name}", done="changed")


@router.post("/event-type/{event_type_name}/archive", operation_id="v1.event-type.patch")
async def archive(event_type_name: EventTypeRef, event_types: EventTypesDep) -> Response:
    """Archive an event type."""
    changed = await event_types.patch(event_type_name, {"archived": True})
    return go(f"/event-type/{changed.name}", done="archived")


@router.post("/event-type/{event_type_name}/unarchive", operation_id="v1.event-type.patch")
async def unarchive(event_type_name: EventTypeRef, event_types: EventTypesDep) -> Response:
    """Bring an archived event type back."""
    changed = await event_types.patch(event_type_name, {"archived": False})
    return go(f"/event-type/{changed.name}", done="unarchived")


@router.get("/event-type/{event_type_name}/delete", operation_id="v1.event-type.delete")
async def ask_to_delete(request: Request, event_type_name: EventTypeRef, event_types: EventTypesDep) -> Response:
    """Ask for the event type's name, since there is no way back."""
    event_type = await event_types.get(event_type_name)
    return page(request, DELETE, form=Form(), event_type=event_type, problems={})


@router.post("/event-type/{event_type_name}/delete", operation_id="v1.event-type.delete")
async def delete(event_type_name: EventTypeRef, event_types: EventTypesDep, form: FormDep) -> Response:
    """Delete an event type whose name was typed."""
    event_type = await event_types.get(event_type_name)
    with refused_with(DELETE, form, event_type=event_type):
        if form.get("name") != event_type.name:
            raise Invalid("This is not the event type's name.", field=("name",))
        await event_types.delete(event_type.name, expunge=True)
    return go("/event-types", done="deleted")


def versions_of(event_type: EventType) -> list[SchemaVersion]:
    """The versions of an event type's schema, the newest first."""
    schemas = exact_json.members(event_type.schemas or "{}")
    names = sorted(schemas, key=lambda name: (int(name) if _is_number(name) else -1, name), reverse=True)
    return [
        SchemaVersion(name=name, schema=schemas[name], table=_table(schemas[name]) if at < MOST_TABLES else None)
        for at, name in enumerate(names)
    ]


def example_of(event_type: EventType) -> bytes | None:
    """The example that the API sends for the event type."""
    try:
        found = examples_of(event_type)
        return exact_json.written(found[0]) if found else None
    except ValueError:
        return None


def _is_number(name: str) -> bool:
    return name.isdecimal() and len(name) < 10


def _table(schema: bytes) -> SchemaTable | None:
    try:
        return table_of(exact_json.read(schema))
    except ValueError:
        return None


def _body(form: Form) -> dict[str, Any]:
    """The form as the API's body: an empty field is one that is not set. Raises Invalid."""
    return {
        "description": form.text("description").strip(),
        "groupName": form.get("groupName") or None,
        "featureFlags": None if (flags := form.words("featureFlags")) is None else list(flags),
        "deprecated": form.has("deprecated"),
        "validatePayloads": form.has("validatePayloads"),
        "schemas": _schemas(form.text("schemas")),
    }


def _schemas(text: str) -> dict[str, Any] | None:
    if not text.strip():
        return None
    if len(text) > MAX_TYPED_CHARACTERS:
        raise Invalid(f"The schemas of an event type are at most {MAX_SCHEMAS_BYTES} bytes.", field=("schemas",))
    try:
        schemas = exact_json.read(text)
    except ValueError as error:
        raise Invalid(f"This is not JSON: {error}", field=("schemas",)) from None
    if not isinstance(schemas, dict):
        raise Invalid('This is an object with a schema for each version, as in {"1": {...}}.', field=("schemas",))
    return schemas


def _filled(event_type: EventType) -> Form:
    fields = {
        "description": event_type.description,
        "groupName": event_type.group_name,
        "featureFlags": ", ".join(event_type.feature_flags or ()),
        "deprecated": "yes" if event_type.deprecated else None,
        "validatePayloads": "yes" if event_type.validate_payloads else None,
        "schemas": None if event_type.schemas is None else editable(event_type.schemas),
    }
    return Form([(name, value) for name, value in fields.items() if value])
