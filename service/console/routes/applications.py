"""Applications: their list, and one with its endpoints; create, change, delete, and a link for its customer."""

from fastapi import Depends, Request, Response

from service.api.dependencies import (
    ApplicationDep,
    ApplicationsDep,
    EndpointsDep,
    RevocationsDep,
    StatisticsDep,
    revoked,
)
from service.api.parameters import ApplicationPage, ApplicationRef, EndpointPage
from service.api.routes import applications as api
from service.api.schemas.applications import ApplicationIn, ApplicationPatch
from service.application.ports.repositories import EVERY_APPLICATION
from service.console.forms import Form, FormDep
from service.console.listings import listing
from service.console.pages import go, page, pages
from service.console.plots import plot
from service.console.problems import refused_with
from service.console.repetitions import FIELD, FormOnceDep, fresh, made_by
from service.console.routes.overview import DAY, buckets, totals
from service.domain.errors import Invalid

FORM = "application_form.html"

router = pages()
routers = (router,)


@router.get("/apps", operation_id="v1.application.list")
async def list_applications(
    request: Request, applications: ApplicationsDep, statistics: StatisticsDep, asked: ApplicationPage
) -> Response:
    """List the organisation's applications."""
    found = await applications.page(asked, left_out=EVERY_APPLICATION)
    app_ids = [one.id for one in found.items]
    hours = await statistics.hourly_of(app_ids, lasting=DAY)
    return page(
        request,
        "applications.html",
        found=listing(found, asked, request.query_params, key=lambda one: one.id),
        standings=await statistics.standings(app_ids),
        plots={app_id: plot(buckets(hours[app_id])) for app_id in app_ids},
        totals={app_id: totals(hours[app_id]) for app_id in app_ids},
    )


@router.get("/apps/new", operation_id="v1.application.create")
async def show_form(request: Request) -> Response:
    """Show the form for a new application."""
    return page(request, FORM, form=Form([(FIELD, fresh())]), application=None, problems={})


@router.post("/apps/new", operation_id="v1.application.create")
async def create(applications: ApplicationsDep, once: FormOnceDep, form: FormDep) -> Response:
    """Create an application."""
    with refused_with(FORM, form, application=None):
        body = ApplicationIn.model_validate(_body(form))
        answer = await api.create_application(body=body, applications=applications, once=once)
    return go(f"/app/{made_by(answer)}", done="created")


@router.get("/app/{app_id}", operation_id="v1.application.get")
async def show_application(
    request: Request,
    application: ApplicationDep,
    endpoints: EndpointsDep,
    statistics: StatisticsDep,
    asked: EndpointPage,
) -> Response:
    """Show an application with its endpoints and the attempts of its last day."""
    hours = await statistics.hourly(application.id, lasting=DAY)
    found = listing(await endpoints.page(asked), asked, request.query_params, key=lambda one: one.id)
    endpoint_ids = [one.id for one in found.items]
    of_endpoints = await statistics.hourly_of(endpoint_ids, lasting=DAY)
    return page(
        request,
        "application.html",
        application=application,
        found=found,
        plot=plot(buckets(hours)),
        totals=totals(hours),
        plots={endpoint_id: plot(buckets(of_endpoints[endpoint_id])) for endpoint_id in endpoint_ids},
        of_endpoints={endpoint_id: totals(of_endpoints[endpoint_id]) for endpoint_id in endpoint_ids},
    )


@router.get("/app/{app_id}/edit", operation_id="v1.application.patch")
async def show_change(request: Request, application: ApplicationDep) -> Response:
    """Show the form with an application's fields."""
    fields = {"name": application.name, "uid": application.uid, "throttleRate": application.throttle_rate}
    form = Form([(name, str(value)) for name, value in fields.items() if value is not None])
    return page(request, FORM, form=form, application=application, problems={})


@router.post("/app/{app_id}/edit", operation_id="v1.application.patch")
async def change(application: ApplicationDep, applications: ApplicationsDep, form: FormDep) -> Response:
    """Change an application's fields."""
    with refused_with(FORM, form, application=application):
        await applications.patch(application.id, ApplicationPatch.model_validate(_body(form)).changes())
    return go(f"/app/{application.id}", done="changed")


@router.get("/app/{app_id}/delete", operation_id="v1.application.delete")
async def ask_to_delete(request: Request, application: ApplicationDep) -> Response:
    """Ask for the application's name, since all that belongs to it goes with it."""
    return page(request, "application_delete.html", form=Form(), application=application, problems={})


@router.post(
    "/app/{app_id}/delete",
    operation_id="v1.application.delete",
    dependencies=[Depends(revoked, scope="function")],
)
async def delete(
    *,
    request: Request,
    app_id: ApplicationRef,
    application: ApplicationDep,
    applications: ApplicationsDep,
    revocations: RevocationsDep,
    form: FormDep,
) -> Response:
    """Delete an application whose name was typed."""
    with refused_with("application_delete.html", form, application=application):
        if form.get("name") != application.name:
            raise Invalid("This is not the application's name.", field=("name",))
        await api.delete_application(request, app_id, applications, revocations)
    return go("/apps", done="deleted")


def _body(form: Form) -> dict[str, object]:
    """The form as the API's body: an empty field is one that is not set."""
    return {"name": form.get("name"), "uid": form.get("uid") or None, "throttleRate": form.number("throttleRate")}
