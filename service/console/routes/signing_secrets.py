"""The secret that signs what an endpoint is sent: shown when that is asked for, replaced, and the end of old ones."""

from fastapi import Request, Response

from service.api.dependencies import ApplicationDep, EndpointsDep
from service.api.parameters import EndpointRef
from service.api.routes import endpoints as api
from service.api.schemas.endpoints import EndpointSecretRotateIn
from service.console.forms import Form, FormDep
from service.console.pages import go, page, pages
from service.console.problems import refused_with
from service.console.repetitions import FIELD, FormOnceDep, fresh
from service.console.routes.endpoints import path_of
from service.domain.applications import Application
from service.domain.endpoints import Endpoint

TEMPLATE = "endpoint_secret.html"
GRACES = (("0", "not at all"), ("3600", "for an hour"), ("86400", "for a day"), ("604800", "for a week"))
USUAL_GRACE = "86400"

router = pages("/app/{app_id}/endpoint/{endpoint_id}")
routers = (router,)


@router.get("/secret", operation_id="v1.endpoint.get-secret")
async def ask_for_secret(
    request: Request, application: ApplicationDep, endpoint_id: EndpointRef, endpoints: EndpointsDep
) -> Response:
    """Show what can be done with the secret, without it."""
    endpoint = await endpoints.get(endpoint_id)
    return _secret_page(request, application, endpoint, secret=None)


@router.post("/secret", operation_id="v1.endpoint.get-secret")
async def show_secret(
    request: Request, application: ApplicationDep, endpoint_id: EndpointRef, endpoints: EndpointsDep
) -> Response:
    """Show the current secret. This answer alone has it."""
    endpoint = await endpoints.get(endpoint_id)
    secret = (await api.get_secret(endpoint_id, endpoints)).key
    return _secret_page(request, application, endpoint, secret=secret)


@router.post("/secret/rotate", operation_id="v1.endpoint.rotate-secret")
async def rotate(
    *,
    request: Request,
    application: ApplicationDep,
    endpoint_id: EndpointRef,
    endpoints: EndpointsDep,
    once: FormOnceDep,
    form: FormDep,
) -> Response:
    """Sign with a new secret, and for as long as was chosen with the old one too."""
    endpoint = await endpoints.get(endpoint_id)
    # A key that was typed is not shown again.
    again = Form([(name, form.get(name)) for name in ("gracePeriodSeconds", FIELD)])
    shown = {"application": application, "endpoint": endpoint, "graces": GRACES, "secret": None}
    with refused_with(TEMPLATE, again, **shown):
        body = EndpointSecretRotateIn.model_validate(
            {"key": form.get("key") or None, "gracePeriodSeconds": form.number("gracePeriodSeconds")}
        )
        await api.rotate_secret(request=request, endpoint_id=endpoint.id, body=body, endpoints=endpoints, once=once)
    return go(f"{path_of(endpoint)}/secret", done="rotated")


@router.post("/secret/end-old", operation_id="v1.endpoint.delete-old-secrets")
async def end_old_secrets(endpoint_id: EndpointRef, endpoints: EndpointsDep) -> Response:
    """Sign with the current secret alone from now on."""
    endpoint = await endpoints.get(endpoint_id)
    await endpoints.end_old_secrets(endpoint.id)
    return go(f"{path_of(endpoint)}/secret", done="old-secrets-ended")


def _secret_page(request: Request, application: Application, endpoint: Endpoint, *, secret: str | None) -> Response:
    return page(
        request,
        TEMPLATE,
        form=Form([("gracePeriodSeconds", USUAL_GRACE), (FIELD, fresh())]),
        application=application,
        endpoint=endpoint,
        graces=GRACES,
        secret=secret,
        problems={},
    )
