"""Makes a page: a template with what it shows, and the headers that keep a browser from running anything else."""

from collections.abc import Callable, Coroutine
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from service.api.addresses import path_prefix
from service.api.documentation import PATH as DOCUMENTATION
from service.api.operations import Operations
from service.api.problems import status_of
from service.api.protocol.bodies import JsonRequest
from service.api.routes.access import PORTAL
from service.console import branding, metadata, shown, words
from service.console.assets import address
from service.console.problems import FormRefused
from service.console.signing_in import SIGNED_IN, NotSignedIn, Viewer, is_framed
from service.domain.brands import Brand
from service.domain.errors import NotAllowed, RelevoError

BASE = "/console"
SIGN_IN = f"{BASE}/sign-in"
_POLICY = ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'self'")
_BY_NOBODY = "frame-ancestors 'none'"
POLICY = "; ".join((*_POLICY, _BY_NOBODY))  # of a page without more
_HEADERS = {
    "cache-control": "no-store",
    # Browsers send the origin `null` with a form of a page that says `no-referrer`.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose body, a form, is read within the API's limits of size, time and memory."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler on a bounded request."""
        handle = super().get_route_handler()

        async def handle_page(request: Request) -> Response:
            # A form of filters sends every field. An empty one asks for nothing, and is no value of its type.
            request.scope["query_string"] = _filled(request.scope["query_string"])
            with JsonRequest(request.scope, request.receive) as ours:
                return below_prefix(request, await handle(ours))

        return handle_page


def _filled(query: bytes) -> bytes:
    return b"&".join(part for part in query.split(b"&") if part.partition(b"=")[2])


class Pages(Operations):
    """Routes of pages. The `operation_id` of each is the API's operation whose rights it needs, and as which a form
    that was sent is audited; to show the form is not."""

    def audits(self, options: dict[str, Any]) -> bool:
        """Whether a form's route is audited."""
        return "POST" in options["methods"] and super().audits(options)


def public_pages() -> Pages:
    """A router for pages that need no session."""
    return Pages(route_class=PageRoute, include_in_schema=False, default_response_class=HTMLResponse)


def pages(prefix: str = "") -> Pages:
    """A router for pages of a session."""
    return Pages(
        prefix=prefix,
        route_class=PageRoute,
        dependencies=SIGNED_IN,
        include_in_schema=False,
        default_response_class=HTMLResponse,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("service.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= shown.FILTERS
    environment.globals |= {
        "sentences": words.DONE,
        "navigation": words.navigation,
        "entry_of": words.entry_of,
        "metadata_rows": metadata.rows,
        "metadata_fits": metadata.fits,
        "capabilities": words.CAPABILITIES,
        "lifetimes": words.LIFETIMES,
    }
    return environment


def page(request: Request, template: str, *, status: int = 200, **shown_things: object) -> HTMLResponse:
    """The page of a template."""
    viewer: Viewer | None = getattr(request.state, "viewer", None)
    brand = None if viewer is None else viewer.brand
    root = path_prefix(request)
    values = {
        "base": f"{root}{BASE}",
        "documentation": f"{root}{DOCUMENTATION}",
        "asset": lambda name: f"{root}{address(name)}",
        "style_of": lambda brand: f"{root}{branding.address(brand)}",
        "viewer": viewer,
        "brand": brand,
        "product": "Relevo" if brand is None else brand.name,
        "path": f"{root}{request.url.path}",
        "done": request.query_params.get("done", ""),
        **shown_things,
    }
    html = _environment().get_template(template).render(values)
    return HTMLResponse(html, status_code=status, headers=_HEADERS | _policy(request, viewer, brand))


def _policy(request: Request, viewer: Viewer | None, brand: Brand | None) -> dict[str, str]:
    """What the page may load, and who may embed it. A customer's page may load its brand's logo; operators' pages may
    nobody embed, the portal's, with its door, whoever the setting names."""
    images = () if brand is None or brand.logo_origin is None else (f"img-src 'self' {brand.logo_origin}",)
    ancestors: tuple[str, ...] = request.app.state.portal_ancestors
    of_portal = request.url.path == PORTAL if viewer is None else viewer.is_customer
    if not ancestors or not of_portal:
        return {"content-security-policy": "; ".join((*_POLICY, *images, _BY_NOBODY)), "x-frame-options": "DENY"}
    return {"content-security-policy": "; ".join((*_POLICY, *images, f"frame-ancestors {' '.join(ancestors)}"))}


def go(path: str, *, done: str = "") -> RedirectResponse:
    """Lead to another page of ours after a form; `done` is the key of the sentence that it shows."""
    query = f"?done={quote(done)}" if done else ""
    return RedirectResponse(f"{BASE}{path}{query}", status_code=303, headers=_HEADERS)


def below_prefix(request: Request, answer: Response) -> Response:
    """The answer, which leads to another page of ours below the public URL's path."""
    location = answer.headers.get("location", "")
    if location.startswith("/"):
        answer.headers["location"] = f"{path_prefix(request)}{location}"
    return answer


def answer_with_pages(app: FastAPI) -> None:
    """Answer errors below BASE with pages; everything else is the API's."""
    for kind in (RelevoError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _either(app.exception_handlers[kind]))


def _either(otherwise: Any) -> Any:
    async def answer(request: Request, error: Exception) -> Response:
        if not request.url.path.startswith(f"{BASE}/"):
            answered: Response = await otherwise(request, error)
            return answered
        return below_prefix(request, error_page(request, error))

    return answer


def error_page(request: Request, error: Exception) -> Response:
    """The page that says what went wrong, and what to do."""
    match error:
        case FormRefused():
            return page(request, error.template, status=error.status, **error.values)
        case NotSignedIn() if is_framed(request):
            return go(PORTAL.removeprefix(BASE), done="ended")
        case NotSignedIn() if request.method == "GET":
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(wanted)}", status_code=303, headers=_HEADERS)
        case NotAllowed():
            status, detail = 403, error.detail
        case RelevoError():
            status, detail = status_of(error), error.detail
        case RequestValidationError():
            status, detail = 400, "The address of this page has a part that cannot be read. Check it."
        case HTTPException():
            status, detail = error.status_code, ""
        case _:
            raise error
    return page(request, "error.html", status=status, title=HTTPStatus(status).phrase, detail=detail)
