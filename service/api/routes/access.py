"""Tokens for applications: an organisation's admin grants them; they are refreshed, and revoked before they expire."""

from datetime import timedelta

from fastapi import Depends, Request, Response

from service.api.addresses import base_url
from service.api.dependencies import ApplicationDep, ApplicationsDep, CallerDep, RevocationsDep, ServicesDep, revoked
from service.api.idempotency import Answer, OnceDep
from service.api.json_routes import JsonRoute
from service.api.operations import Operations
from service.api.parameters import ApplicationRef
from service.api.problems import documented
from service.api.schemas.access import ApplicationTokenExpireIn, AppPortalAccessIn, AppPortalAccessOut
from service.api.services import Services
from service.application.access import Grant
from service.application.applications import Applications
from service.domain.applications import Application
from service.domain.errors import Invalid, NotFound

PORTAL = "/console/portal"  # the console's page that takes the token of a link

router = Operations(prefix="/auth", tags=["Authentication"], route_class=JsonRoute)

_REVOKED = [Depends(revoked, scope="function")]


@router.post(
    "/app-portal-access/{app_id}",
    response_model=AppPortalAccessOut,
    operation_id="v1.authentication.app-portal-access",
    responses=documented(404, 409),
)
async def grant_access(
    *,
    request: Request,
    app_id: ApplicationRef,
    body: AppPortalAccessIn,
    applications: ApplicationsDep,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Get a token for an application, with some or all capabilities."""

    async def grant() -> Answer:
        application = await _found_or_created(applications, app_id, body)
        return Answer(body=portal_access(request, services, application, body.grant()), status=200)

    return await once.answer(grant)


@router.post(
    "/dashboard-access/{app_id}",
    response_model=AppPortalAccessOut,
    deprecated=True,
    operation_id="v1.authentication.dashboard-access",
    responses=documented(404, 409),
)
async def grant_dashboard_access(
    *, request: Request, app_id: ApplicationRef, applications: ApplicationsDep, services: ServicesDep, once: OnceDep
) -> Response:
    """Get a token for an application, with all capabilities: what SDKs of 1.x ask for."""

    async def grant() -> Answer:
        application = await applications.get(app_id)
        return Answer(body=portal_access(request, services, application, AppPortalAccessIn().grant()), status=200)

    return await once.answer(grant)


@router.post(
    "/logout",
    status_code=204,
    dependencies=_REVOKED,
    operation_id="v1.authentication.logout",
    responses=documented(),
)
async def log_out(caller: CallerDep, revocations: RevocationsDep) -> None:
    """End the application token that this request came with."""
    await revocations.log_out(caller)


@router.post("/refresh", dependencies=_REVOKED, operation_id="v1.authentication.refresh", responses=documented())
async def refresh(
    request: Request, caller: CallerDep, revocations: RevocationsDep, services: ServicesDep
) -> AppPortalAccessOut:
    """Get a fresh application token of the same kind for this one, which ends. Four weeks after the first, all end."""
    # Another process may have revoked this token a moment ago; it must not be refreshed.
    await services.access.confirm(caller)
    app_id = await revocations.give_up(caller)
    now = services.clock.now()
    token = services.tokens.mint_for_application(app_id, caller.org_id, now=now, grant=Grant.again(caller))
    return AppPortalAccessOut(url=_link(request, token), token=token)


@router.post(
    "/app/{app_id}/expire-all",
    status_code=204,
    dependencies=_REVOKED,
    operation_id="v1.authentication.expire-all",
    responses=documented(404, 409),
)
async def expire_all(
    body: ApplicationTokenExpireIn, application: ApplicationDep, revocations: RevocationsDep, once: OnceDep
) -> Response:
    """End all tokens of an application, or those of some sessions, at once or in a while."""

    async def expire() -> Answer:
        after = timedelta(seconds=body.expiry)
        await revocations.expire_all(application.id, sessions=body.session_ids or (), after=after)
        return Answer(status=204)

    return await once.answer(expire)


def portal_access(request: Request, services: Services, application: Application, grant: Grant) -> AppPortalAccessOut:
    """A new token of the application, and the link by which a person uses it. The request's audit names the
    application."""
    request.state.app_id = application.id
    token = services.tokens.mint_for_application(
        application.id, application.org_id, now=services.clock.now(), grant=grant
    )
    return AppPortalAccessOut(url=_link(request, token), token=token)


def _link(request: Request, token: str) -> str:
    """The portal's URL with the token in the fragment, which browsers send to nobody."""
    return f"{base_url(request)}{PORTAL}#token={token}"


async def _found_or_created(applications: Applications, ref: str, body: AppPortalAccessIn) -> Application:
    if body.application is None:
        return await applications.get(ref)
    try:
        return await applications.get(ref)
    except NotFound:
        if body.application.uid != ref:
            field = ("application", "uid")
            raise Invalid(
                "The uid must be the one of the path.", field=field, kind="application_uid_mismatch"
            ) from None
        return (await applications.create_or_get(body.application.new()))[0]
