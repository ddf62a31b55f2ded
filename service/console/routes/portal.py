"""The portal: a customer's way in by a link, and the page on which an operator makes such a link."""

from datetime import timedelta

from fastapi import Request, Response

from service.api.dependencies import ApplicationDep, ProcessServicesDep, ServicesDep
from service.api.routes import access as api
from service.api.schemas.access import AppPortalAccessIn
from service.api.services import Services
from service.application.access import EVERY_CAPABILITY, Caller
from service.console.forms import Form, FormDep
from service.console.pages import BASE, page, pages, public_pages
from service.console.problems import refused_with
from service.console.routes.sessions import opened
from service.console.signing_in import may_sign_in, refuse_other_origins
from service.domain.errors import NotAuthenticated
from service.domain.tokens import MAX_PORTAL_LIFETIME

PAGE = "portal.html"
LINK = "portal_link.html"
PRODUCT = "Webhooks"  # at the door, where nobody knows yet whose brand it is

public = public_pages()
of_operators = pages("/app/{app_id}")
routers = (public, of_operators)


@public.get(api.PORTAL.removeprefix(BASE), operation_id="console.portal")
async def ask_for_link(request: Request) -> Response:
    """Show the page to which a link leads. Its script takes the token out of the address; who has none pastes it."""
    return page(request, PAGE, safe=may_sign_in(request), product=PRODUCT)


@public.post(api.PORTAL.removeprefix(BASE), operation_id="console.portal.open")
async def open_portal(request: Request, services: ProcessServicesDep, form: FormDep) -> Response:
    """Open a session of the application that the token is for."""
    refuse_other_origins(request)
    if not may_sign_in(request):
        return page(request, PAGE, status=403, safe=False, product=PRODUCT)
    # Who has no scripts pastes the token, or the link as a whole.
    caller = await _customer(services, form.get("token").rpartition("#token=")[2])
    if caller is None:
        return page(request, PAGE, status=401, safe=True, refused=True, product=PRODUCT)
    return await opened(request, services, caller, then=f"/app/{caller.app_id}")


@of_operators.get("/portal-link", operation_id="v1.authentication.app-portal-access")
async def show_form(request: Request, application: ApplicationDep) -> Response:
    """Show what a link may allow, and for how long; at first everything, as long as it may be."""
    granted = [("capabilities", name) for name in sorted(EVERY_CAPABILITY)]
    form = Form([*granted, ("expiry", f"{MAX_PORTAL_LIFETIME / timedelta(seconds=1):.0f}")])
    return page(request, LINK, application=application, form=form, problems={}, link=None)


@of_operators.post("/portal-link", operation_id="v1.authentication.app-portal-access")
async def make_link(request: Request, services: ServicesDep, application: ApplicationDep, form: FormDep) -> Response:
    """Make a link, and show it this once."""
    with refused_with(LINK, form, application=application, link=None):
        asked = AppPortalAccessIn.model_validate(
            {"capabilities": form.all("capabilities"), "expiry": form.number("expiry")}
        )
    made = api.portal_access(request, services, application, asked.grant())
    return page(request, LINK, application=application, form=form, problems={}, link=made.url)


async def _customer(services: Services, token: str) -> Caller | None:
    """Whom the token admits; None when it does not hold, or is not of one application."""
    try:
        caller = await services.access.verify(token)
    except NotAuthenticated:
        return None
    return None if caller.app_id is None else caller
