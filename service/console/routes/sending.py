"""Sending a test message to an application: an event type's example, edited in place, by the API's own way in."""

from typing import Annotated

from fastapi import Query, Request, Response

from service.api.dependencies import (
    ApplicationDep,
    CallerDep,
    EventTypesDep,
    ExamplesDep,
    ServicesDep,
    UnitOfWorkDep,
)
from service.api.incoming.messages import said_by
from service.api.schemas.messages import MessageHead
from service.application import exact_json, raw_json
from service.application.examples import Examples
from service.application.ports.pages import PageRequest
from service.application.use_cases import submissions
from service.console.forms import Form, FormDep
from service.console.json_text import editable
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.console.repetitions import FIELD, FormKeyDep, fresh
from service.domain.errors import Conflict, Invalid, NoExample, NotFound
from service.domain.limits import MAX_PAGE_ITEMS, is_name

FORM = "send_message.html"
NOTHING = "{}"

router = pages("/app/{app_id}")
routers = (router,)


@router.get("/send", operation_id="v1.message.create")
async def show_form(
    *,
    request: Request,
    application: ApplicationDep,
    event_types: EventTypesDep,
    examples: ExamplesDep,
    event_type: Annotated[str, Query()] = "",
) -> Response:
    """Ask for an event type, then show its example in the form that sends it."""
    known = await event_types.page(
        PageRequest(limit=MAX_PAGE_ITEMS, ascending=True), include_archived=False, with_content=False
    )
    name = event_type.strip()
    payload = await _example(name, examples) if name else ""
    form = Form([(FIELD, fresh()), ("eventType", name), ("payload", payload or NOTHING)])
    return page(
        request,
        FORM,
        application=application,
        names=[one.name for one in known.items],
        form=form,
        problems={},
        chosen=name,
        opened=bool(name),
        without_example=bool(name) and not payload,
    )


@router.post("/send", operation_id="v1.message.create")
async def send(
    *,
    request: Request,
    application: ApplicationDep,
    caller: CallerDep,
    services: ServicesDep,
    work: UnitOfWorkDep,
    key: FormKeyDep,
    form: FormDep,
) -> Response:
    """Send the message; once, however often the same form is sent."""
    shown: dict[str, object] = {"names": (), "chosen": form.get("eventType"), "opened": True, "without_example": False}
    with refused_with(FORM, form, application=application, **shown):
        head = MessageHead.model_validate(_head(form))
        payload = _payload(form)
        await work.rollback()  # the intake has connections of its own
        said = said_by(caller, request=request.scope, app=application.id, head=head, payload=payload, key=key)
        receipt = await submissions(services).submit(said)
        if receipt.id is None:
            raise Conflict("A message with this event id exists already.")
    return go(f"/app/{application.id}/msg/{receipt.id}", done="sent")


def _head(form: Form) -> dict[str, object]:
    """The form as the API's fields: an empty one is not set."""
    fields = {
        "eventType": form.get("eventType"),
        "eventId": form.get("eventId") or None,
        "channels": None if (channels := form.words("channels")) is None else list(channels),
        "tags": None if (tags := form.words("tags")) is None else list(tags),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _payload(form: Form) -> bytes:
    """The payload as it was typed. Raises Invalid."""
    payload = form.text("payload").strip().encode()
    try:
        raw_json.members(payload)
    except ValueError as error:
        raise Invalid(f"The payload is a JSON object, and this is none: {error}", field=("payload",)) from None
    return payload


async def _example(name: str, examples: Examples) -> str:
    """The event type's example; empty without one."""
    if not is_name(name):
        return ""
    try:
        return editable(exact_json.written(await examples.payload(name)))
    except (NotFound, NoExample, ValueError):
        return ""
