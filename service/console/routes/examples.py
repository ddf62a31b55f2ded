"""An example for an endpoint: choose an event type, send it now, and see what the receiver answers."""

from fastapi import Request, Response

from service.api.dependencies import (
    ApplicationDep,
    AttemptsDep,
    EndpointsDep,
    EventTypesDep,
    ExamplesDep,
    ServicesDep,
    UnitOfWorkDep,
)
from service.api.parameters import EndpointRef
from service.api.routes import examples as api
from service.api.schemas.examples import EventExampleIn
from service.application.event_types import EventTypes
from service.application.examples import PING
from service.application.ports.pages import PageRequest
from service.console.forms import Form, FormDep
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.console.repetitions import FIELD, FormOnceDep, fresh, made_by
from service.domain.errors import Invalid, NotFound
from service.domain.limits import MAX_PAGE_ITEMS

TEMPLATE = "endpoint_example.html"

router = pages("/app/{app_id}/endpoint/{endpoint_id}")
routers = (router,)


@router.get("/example", operation_id="v1.endpoint.send-example")
async def show_form(
    request: Request,
    application: ApplicationDep,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    event_types: EventTypesDep,
) -> Response:
    """Show the form for an example."""
    return page(
        request,
        TEMPLATE,
        form=Form([("eventType", PING), (FIELD, fresh())]),
        application=application,
        endpoint=await endpoints.get(endpoint_id),
        names=await _names(event_types),
        problems={},
    )


@router.post("/example", operation_id="v1.endpoint.send-example")
async def send(
    *,
    application: ApplicationDep,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    event_types: EventTypesDep,
    examples: ExamplesDep,
    attempts: AttemptsDep,
    services: ServicesDep,
    work: UnitOfWorkDep,
    once: FormOnceDep,
    form: FormDep,
) -> Response:
    """Send an example, wait for the answer, and lead to the message that has it."""
    endpoint, names = await endpoints.get(endpoint_id), await _names(event_types)
    with refused_with(TEMPLATE, form, application=application, endpoint=endpoint, names=names):
        body = EventExampleIn.model_validate({"eventType": form.get("eventType")})
        try:
            answer = await api.send_example(
                endpoint_id=endpoint.id,
                body=body,
                payload=None,
                examples=examples,
                attempts=attempts,
                services=services,
                work=work,
                once=once,
            )
        except NotFound as error:
            raise Invalid(error.detail, field=("event_type",)) from None
    return go(f"/app/{application.id}/msg/{made_by(answer)}", done="example-sent")


async def _names(event_types: EventTypes) -> list[str]:
    """What can be chosen: that of a ping, which needs no event type, and the first of the event types."""
    asked = PageRequest(limit=MAX_PAGE_ITEMS, ascending=True)
    found = await event_types.page(asked, include_archived=False, with_content=False)
    return [PING, *(one.name for one in found.items)]
