"""Ordered destinations of an application: their list, one with its state; create, change, stop, set back, delete."""

from typing import Any

from fastapi import Request, Response

from service.api.dependencies import ApplicationDep, DestinationsDep
from service.api.parameters import DestinationRef, OrderedPage
from service.api.routes import destinations as api
from service.api.schemas.destinations import DestinationIn, DestinationOut, DestinationPatch
from service.api.schemas.endpoints import EndpointSecretRotateIn
from service.console import sink_fields
from service.console.forms import Form, FormDep
from service.console.listings import listing
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.console.repetitions import FIELD, FormOnceDep, fresh, made_by
from service.domain.applications import Application
from service.domain.errors import Invalid
from service.domain.ordered import OrderedDestination, OrderedStatus, usual_batch_size
from service.domain.sink_configs import kind_of
from service.domain.sinks import SinkKind

ONE, FORM, SECRET, DELETE = (
    "destination.html",
    "destination_form.html",
    "destination_secret.html",
    "destination_delete.html",
)

router = pages("/app/{app_id}")
routers = (router,)


@router.get("/destinations", operation_id="v1.destination.list")
async def show_destinations(
    request: Request, application: ApplicationDep, destinations: DestinationsDep, asked: OrderedPage
) -> Response:
    """Show the application's ordered destinations, of every type."""
    found = await destinations.page(asked, kinds=set(SinkKind))
    head = await destinations.head() if found.items else 0
    return page(
        request,
        "destinations.html",
        application=application,
        found=listing(found, asked, request.query_params, key=lambda one: one.id),
        shown={one.id: DestinationOut.of(one, head=head) for one in found.items},
        types=sink_fields.TYPES,
    )


@router.get("/destinations/new", operation_id="v1.destination.create")
async def show_form(request: Request, application: ApplicationDep, type: str = "") -> Response:  # noqa: A002  # the query's own name
    """Show the types to choose from, or the form for a new destination of one."""
    kind = kind_of(type) if type else None
    usual = [] if kind is None else [("batchSize", str(usual_batch_size(kind))), ("maxWaitSecs", "0")]
    form = Form([*usual, ("mandatory", "yes"), (FIELD, fresh())])
    return page(request, FORM, **_form(application, kind, None), form=form, problems={})


@router.post("/destinations/new", operation_id="v1.destination.create")
async def create(
    application: ApplicationDep, destinations: DestinationsDep, once: FormOnceDep, form: FormDep
) -> Response:
    """Create a destination."""
    kind = kind_of(form.get("type"))
    with refused_with(FORM, form, **_form(application, kind, None)):
        body = DestinationIn.model_validate(_body(kind, form))
        answer = await api.create_destination(body, destinations, once)
    return go(f"/app/{application.id}/destination/{made_by(answer)}", done="created")


@router.get("/destination/{destination_id}", operation_id="v1.destination.get")
async def show_destination(
    request: Request, application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep
) -> Response:
    """Show a destination: how it stands and why, and what waits for it."""
    destination = await destinations.get(destination_id)
    shown = DestinationOut.of(destination, head=await destinations.head())
    return page(request, ONE, **_one(application, destination, shown), form=Form(), problems={})


@router.get("/destination/{destination_id}/edit", operation_id="v1.destination.patch")
async def show_change(
    request: Request, application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep
) -> Response:
    """Show the form with a destination's fields."""
    destination = await destinations.get(destination_id)
    shown = _form(application, destination.sink.kind, destination)
    return page(request, FORM, **shown, form=_filled(destination), problems={})


@router.post("/destination/{destination_id}/edit", operation_id="v1.destination.patch")
async def change(
    application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep, form: FormDep
) -> Response:
    """Change a destination's fields."""
    destination = await destinations.get(destination_id)
    kind = destination.sink.kind
    with refused_with(FORM, form, **_form(application, kind, destination)):
        await destinations.patch(destination.id, DestinationPatch.model_validate(_body(kind, form)).wanted())
    return go(path_of(destination), done="changed")


@router.post("/destination/{destination_id}/status", operation_id="v1.destination.patch")
async def set_status(
    application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep, form: FormDep
) -> Response:
    """Enable, pause or disable a destination."""
    destination = await destinations.get(destination_id)
    shown = DestinationOut.of(destination, head=await destinations.head())
    with refused_with(ONE, form, **_one(application, destination, shown)):
        wanted = DestinationPatch.model_validate({"status": form.get("status")}).wanted()
        destination = await destinations.patch(destination.id, wanted)
    done = "destination-enabled" if destination.status is OrderedStatus.ENABLED else "destination-stopped"
    return go(path_of(destination), done=done)


@router.post("/destination/{destination_id}/start", operation_id="v1.destination.patch")
async def set_start(
    application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep, form: FormDep
) -> Response:
    """Let a destination read on with what was accepted at a time."""
    destination = await destinations.get(destination_id)
    shown = DestinationOut.of(destination, head=await destinations.head())
    with refused_with(ONE, form, **_one(application, destination, shown)):
        wanted = DestinationPatch.model_validate({"startAt": form.get("startAt")}).wanted()
        await destinations.patch(destination.id, wanted)
    return go(path_of(destination), done="changed")


@router.get("/destination/{destination_id}/secret", operation_id="v1.destination.get-secret")
async def ask_for_secret(
    request: Request, application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep
) -> Response:
    """Show what can be done with the secret, without it."""
    return _secret_page(request, application, await destinations.get(destination_id), secret=None)


@router.post("/destination/{destination_id}/secret", operation_id="v1.destination.get-secret")
async def show_secret(
    request: Request, application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep
) -> Response:
    """Show the current secret. This answer alone has it."""
    secret = (await destinations.secret(destination_id)).text
    return _secret_page(request, application, await destinations.get(destination_id), secret=secret)


@router.post("/destination/{destination_id}/secret/rotate", operation_id="v1.destination.rotate-secret")
async def rotate(
    *,
    application: ApplicationDep,
    destination_id: DestinationRef,
    destinations: DestinationsDep,
    once: FormOnceDep,
    form: FormDep,
) -> Response:
    """Sign with a new secret, and for a day with the old one too."""
    destination = await destinations.get(destination_id)
    with refused_with(SECRET, form, application=application, destination=destination, secret=None):
        await api.rotate_destination_secret(destination.id, EndpointSecretRotateIn(), destinations, once)
    return go(f"{path_of(destination)}/secret", done="rotated")


@router.get("/destination/{destination_id}/delete", operation_id="v1.destination.delete")
async def ask_to_delete(
    request: Request, application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep
) -> Response:
    """Ask for the destination's type, since its place goes with it."""
    destination = await destinations.get(destination_id)
    return page(request, DELETE, application=application, destination=destination, form=Form(), problems={})


@router.post("/destination/{destination_id}/delete", operation_id="v1.destination.delete")
async def delete(
    application: ApplicationDep, destination_id: DestinationRef, destinations: DestinationsDep, form: FormDep
) -> Response:
    """Delete a destination whose type was typed."""
    destination = await destinations.get(destination_id)
    with refused_with(DELETE, form, application=application, destination=destination):
        if form.get("type") != destination.sink.kind:
            raise Invalid("This is not its type.", field=("type",))
        await destinations.delete(destination.id)
    return go(f"/app/{application.id}/destinations", done="deleted")


def path_of(destination: OrderedDestination) -> str:
    """The address of a destination's page, below the console's."""
    return f"/app/{destination.app_id}/destination/{destination.id}"


def _secret_page(
    request: Request, application: Application, destination: OrderedDestination, *, secret: str | None
) -> Response:
    shown: dict[str, Any] = {"application": application, "destination": destination, "secret": secret}
    return page(request, SECRET, form=Form([(FIELD, fresh())]), problems={}, **shown)


def _form(application: Application, kind: SinkKind | None, destination: OrderedDestination | None) -> dict[str, Any]:
    fields = [] if kind is None else sink_fields.fields_of(kind)
    types = sink_fields.TYPES
    return {"application": application, "destination": destination, "kind": kind, "fields": fields, "types": types}


def _one(application: Application, destination: OrderedDestination, shown: DestinationOut) -> dict[str, Any]:
    config = [pair for pair in sink_fields.filled(destination.sink) if pair[0] != "sslRootCert"]
    return {
        "application": application,
        "destination": destination,
        "shown": shown,
        "config": config,
        "types": sink_fields.TYPES,
    }


def _body(kind: SinkKind, form: Form) -> dict[str, object]:
    """The form as the API's body: an empty field is one that is not set."""
    return {
        "type": kind,
        "config": sink_fields.typed(kind, form),
        "uid": form.get("uid") or None,
        "batchSize": form.number("batchSize"),
        "maxWaitSecs": form.number("maxWaitSecs"),
        "eventTypes": form.words("eventTypes"),
        "channels": form.words("channels"),
    }


def _filled(destination: OrderedDestination) -> Form:
    return Form(
        [
            *sink_fields.filled(destination.sink),
            ("uid", destination.uid or ""),
            ("batchSize", str(destination.batch_size)),
            ("maxWaitSecs", str(destination.max_wait_secs)),
            ("eventTypes", ", ".join(destination.event_types or ())),
            ("channels", ", ".join(destination.channels or ())),
        ]
    )
