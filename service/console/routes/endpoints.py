"""Endpoints of an application: one with its state and last attempts; create, change, switch off and on, delete."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from fastapi import Request, Response

from service.api.dependencies import (
    ApplicationDep,
    DeliveriesDep,
    EndpointsDep,
    EventTypesDep,
    ServicesDep,
    StatisticsDep,
)
from service.api.parameters import AttemptPage, EndpointRef, WantedAttempts
from service.api.routes import endpoints as api
from service.api.schemas.endpoints import EndpointIn, EndpointPatch
from service.api.schemas.headers import EndpointHeadersOut
from service.application.event_types import EventTypes
from service.application.ports.pages import PageRequest
from service.console import metadata, words
from service.console.forms import Form, FormDep
from service.console.listings import listing
from service.console.pages import go, page, pages
from service.console.plots import Bucket, Plot, plot
from service.console.problems import refused_with
from service.console.repetitions import FIELD, FormOnceDep, fresh, made_by
from service.console.routes.overview import DAY, buckets, totals
from service.domain.deliveries import Attempt, Status
from service.domain.destinations import address
from service.domain.endpoints import Endpoint
from service.domain.errors import Invalid
from service.domain.limits import MAX_PAGE_ITEMS

FORM = "endpoint_form.html"

router = pages("/app/{app_id}")
routers = (router,)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTypeChoice:
    """The event types that can be ticked. Unless it is `complete` there are more, whose names can be typed."""

    names: Sequence[str]
    complete: bool


@router.get("/endpoints/new", operation_id="v1.endpoint.create")
async def show_form(request: Request, application: ApplicationDep, event_types: EventTypesDep) -> Response:
    """Show the form for a new endpoint."""
    choice, form = await _choice(event_types), Form([(FIELD, fresh())])
    return page(request, FORM, form=form, application=application, endpoint=None, choice=choice, problems={})


@router.post("/endpoints/new", operation_id="v1.endpoint.create")
async def create(
    *,
    application: ApplicationDep,
    endpoints: EndpointsDep,
    event_types: EventTypesDep,
    once: FormOnceDep,
    form: FormDep,
) -> Response:
    """Create an endpoint."""
    choice = await _choice(event_types, form.all("eventTypes"))
    with refused_with(FORM, form, application=application, endpoint=None, choice=choice):
        answer = await api.create_endpoint(EndpointIn.model_validate(_body(form)), endpoints, once)
    return go(f"/app/{application.id}/endpoint/{made_by(answer)}", done="created")


@router.get("/endpoint/{endpoint_id}", operation_id="v1.endpoint.get")
async def show_endpoint(
    *,
    request: Request,
    application: ApplicationDep,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    statistics: StatisticsDep,
    deliveries: DeliveriesDep,
    services: ServicesDep,
    asked: AttemptPage,
    wanted: WantedAttempts,
) -> Response:
    """Show an endpoint: how it stands and why, its last day, and its last attempts."""
    endpoint = await endpoints.get(endpoint_id)
    hours = await statistics.hourly(endpoint.id, lasting=DAY)
    found = await deliveries.by_endpoint(endpoint, asked, replace(wanted, with_content=False))
    return page(
        request,
        "endpoint.html",
        application=application,
        endpoint=endpoint,
        condition=await statistics.condition(endpoint),
        reasons=words.DISABLED,
        headers=EndpointHeadersOut.of(await endpoints.headers(endpoint.id)),
        plot=plot(buckets(hours)),
        totals=totals(hours),
        found=listing(found, asked, request.query_params, key=lambda one: one.id),
        messages=await deliveries.heads(found.items),
        latency=_latency(found.items),
        wanted=wanted,
        trace_url=services.trace_url,
        logs_url=services.logs_url,
    )


@router.get("/endpoint/{endpoint_id}/edit", operation_id="v1.endpoint.patch")
async def show_change(
    request: Request,
    application: ApplicationDep,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    event_types: EventTypesDep,
) -> Response:
    """Show the form with an endpoint's fields."""
    endpoint = await endpoints.get(endpoint_id)
    choice = await _choice(event_types, endpoint.event_types or ())
    return page(
        request, FORM, form=_filled(endpoint), application=application, endpoint=endpoint, choice=choice, problems={}
    )


@router.post("/endpoint/{endpoint_id}/edit", operation_id="v1.endpoint.patch")
async def change(
    application: ApplicationDep,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    event_types: EventTypesDep,
    form: FormDep,
) -> Response:
    """Change an endpoint's fields."""
    endpoint = await endpoints.get(endpoint_id)
    choice = await _choice(event_types, form.all("eventTypes"))
    with refused_with(FORM, form, application=application, endpoint=endpoint, choice=choice):
        await endpoints.patch(endpoint.id, EndpointPatch.model_validate(_body(form)).changes())
    return go(path_of(endpoint), done="changed")


@router.post("/endpoint/{endpoint_id}/enable", operation_id="v1.endpoint.patch")
async def enable(endpoint_id: EndpointRef, endpoints: EndpointsDep) -> Response:
    """Enable an endpoint, which forgets its failures."""
    return go(path_of(await endpoints.patch(endpoint_id, {"disabled": False})), done="enabled")


@router.post("/endpoint/{endpoint_id}/disable", operation_id="v1.endpoint.patch")
async def disable(endpoint_id: EndpointRef, endpoints: EndpointsDep) -> Response:
    """Disable an endpoint."""
    return go(path_of(await endpoints.patch(endpoint_id, {"disabled": True})), done="disabled")


@router.get("/endpoint/{endpoint_id}/delete", operation_id="v1.endpoint.delete")
async def ask_to_delete(
    request: Request, application: ApplicationDep, endpoint_id: EndpointRef, endpoints: EndpointsDep
) -> Response:
    """Ask for the host of the endpoint's URL, since what it is owed goes with it."""
    endpoint = await endpoints.get(endpoint_id)
    return page(
        request,
        "endpoint_delete.html",
        form=Form(),
        application=application,
        endpoint=endpoint,
        host=_host(endpoint),
        problems={},
    )


@router.post("/endpoint/{endpoint_id}/delete", operation_id="v1.endpoint.delete")
async def delete(
    application: ApplicationDep, endpoint_id: EndpointRef, endpoints: EndpointsDep, form: FormDep
) -> Response:
    """Delete an endpoint whose host was typed."""
    endpoint = await endpoints.get(endpoint_id)
    host = _host(endpoint)
    with refused_with("endpoint_delete.html", form, application=application, endpoint=endpoint, host=host):
        if form.get("host") != host:
            raise Invalid("This is not the host of its URL.", field=("host",))
        await endpoints.delete(endpoint.id)
    return go(f"/app/{application.id}", done="deleted")


def path_of(endpoint: Endpoint) -> str:
    """The address of an endpoint's page, below the console's."""
    return f"/app/{endpoint.app_id}/endpoint/{endpoint.id}"


def _host(endpoint: Endpoint) -> str:
    return address(endpoint.destination.shown)["host"]


async def _choice(event_types: EventTypes, chosen: Sequence[str] = ()) -> EventTypeChoice:
    """The first event types, and those that are chosen already."""
    asked = PageRequest(limit=MAX_PAGE_ITEMS, ascending=True)
    found = await event_types.page(asked, include_archived=False, with_content=False)
    return EventTypeChoice(names=sorted({one.name for one in found.items}.union(chosen)), complete=found.done)


def _body(form: Form) -> dict[str, object]:
    """The form as the API's body: an empty field is one that is not set."""
    types = dict.fromkeys((*form.all("eventTypes"), *(form.words("otherEventTypes") or ())))
    return {
        "url": form.get("url"),
        "description": form.text("description"),
        "uid": form.get("uid") or None,
        "eventTypes": list(types) or None,
        "channels": form.words("channels"),
        "throttleRate": form.number("throttleRate"),
        **metadata.typed(form),
    }


def _filled(endpoint: Endpoint) -> Form:
    fields = {
        "url": endpoint.destination.shown,
        "description": endpoint.description,
        "uid": endpoint.uid,
        "channels": ", ".join(endpoint.channels or ()),
        "throttleRate": endpoint.throttle_rate,
    }
    types = [("eventTypes", name) for name in endpoint.event_types or ()]
    pairs = metadata.filled(endpoint.metadata)
    return Form([*((name, str(value)) for name, value in fields.items() if value is not None), *types, *pairs])


def _latency(attempts: Sequence[Attempt]) -> dict[str, object] | None:
    """How long these attempts took, in seconds and as a plot; None without any."""
    if not attempts:
        return None
    seconds = [one.duration_ms / 1000 for one in attempts]
    return {"median": median(seconds), "longest": max(seconds), "plot": _latencies(attempts)}


def _latencies(attempts: Sequence[Attempt]) -> Plot:
    """A bar an attempt, the latest on the right; what took less than a millisecond can be seen too."""
    in_time = sorted(attempts, key=lambda one: one.started_at)
    return plot(
        [
            Bucket(at=one.started_at, good=took, bad=0)
            if one.status is Status.SUCCESS
            else Bucket(at=one.started_at, good=0, bad=took)
            for one, took in ((one, max(1, one.duration_ms)) for one in in_time)
        ]
    )
