"""The dependencies of a page: the session that its cookie names, and proof that a form was sent from our own page."""

from dataclasses import dataclass
from hmac import compare_digest
from typing import Annotated, Literal, TypedDict
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from service.api import permissions
from service.api.dependencies import UnitOfWorkDep, services_of
from service.api.services import Services
from service.application.access import Caller
from service.application.console_sessions import ConsoleSessions, Ticket
from service.console.forms import FormDep
from service.domain.brands import Brand
from service.domain.errors import NotAllowed, NotAuthenticated
from service.observability.naming import name

SECURE_COOKIE = "__Host-relevo"
PLAIN_COOKIE = "relevo"  # on loopback without TLS, where browsers may refuse the other one
# A customer's session has a cookie of its own, since that one may be sent from within a frame.
OF_PORTAL = "-portal"
OF_THE_CONSOLE = "console."  # the operations that everybody may do who is signed in
CSRF_FIELD = "csrf"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE = frozenset({"GET", "HEAD"})


class _Attributes(TypedDict):
    path: str
    secure: bool
    httponly: bool
    samesite: Literal["lax", "none"]


class NotSignedIn(NotAuthenticated):
    """There is no session, or it has ended."""

    detail = "Your session has ended. Sign in again."


class Forged(NotAllowed):
    """The form was not sent from a page of this session."""

    code = "forged_request"
    detail = "This form is not from a page of your session. Go back, reload the page, and try again."


class OtherSite(NotAllowed):
    """A page of another site asks for what only our own pages may have."""

    code = "other_site"
    detail = "Only pages of this console may ask for this."


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks at a page: the caller, the token that the page's forms need, and for customers the brand."""

    caller: Caller
    csrf: str
    brand: Brand | None = None

    @property
    def is_customer(self) -> bool:
        """Whether it is a session of one application, as portal links open."""
        return self.caller.app_id is not None

    def may(self, operation: str) -> bool:
        """Whether to offer it."""
        return permissions.allows(self.caller, operation=operation)


async def console_sessions(request: Request, work: UnitOfWorkDep) -> ConsoleSessions:
    """Use cases for sessions, in the request's transaction."""
    return ConsoleSessions(work.console_sessions, clock=services_of(request).clock)


ConsoleSessionsDep = Annotated[ConsoleSessions, Depends(console_sessions)]


async def signed_in(request: Request) -> Viewer:
    """Whose session this is, if it may do the route's operation; the API's own dependencies take its caller from here,
    and with it the database.

    NotSignedIn, NotAllowed, Forged.
    """
    services, ticket, caller = await session_of(request, services_of(request))
    name(org_id=caller.org_id)
    # Before the check, since a refusal is a page of the session like any other.
    brand = None if caller.app_id is None else await _brand_of(services, caller)
    request.state.viewer = viewer = Viewer(caller=caller, csrf=ticket.csrf, brand=brand)
    operation: str = request.scope["route"].operation_id
    if not operation.startswith(OF_THE_CONSOLE):
        permissions.check(caller, operation=operation)
    request.state.caller = caller
    return viewer


async def session_of(request: Request, services: Services) -> tuple[Services, Ticket, Caller]:
    """The session that the request's cookie names: the services of its organisation's database, its ticket, and whose
    it is. NotSignedIn."""
    ticket = ticket_of(request)
    known = None if ticket is None else await services.known(ticket.org_id)
    if ticket is None or known is None:
        raise NotSignedIn
    async with known.begin() as work:
        session = await ConsoleSessions(work.console_sessions, clock=known.clock).find(ticket)
    if session is None:
        raise NotSignedIn
    try:
        known.access.refuse_revoked(session.caller)
    except NotAuthenticated:
        raise NotSignedIn from None
    return known, ticket, session.caller


async def _brand_of(services: Services, caller: Caller) -> Brand | None:
    async with services.begin() as work:
        return await work.brands.get(caller.org_id)


ViewerDep = Annotated[Viewer, Depends(signed_in)]


async def proven(request: Request, viewer: ViewerDep, form: FormDep) -> None:
    """Refuse an unsafe request that does not come from a page of this session. Forged."""
    if request.method not in _SAFE:
        refuse_other_origins(request)
        if not compare_digest(form.get(CSRF_FIELD, "").encode(), viewer.csrf.encode()):
            raise Forged


SIGNED_IN = [Depends(signed_in), Depends(proven)]


def refuse_other_origins(request: Request) -> None:
    """Refuse a request that a browser sends for another site's page. Forged.

    Browsers name the origin in every POST. Whoever names none is no browser, and has no cookie that it does not know.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin not in own_origins(request):
        raise Forged
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forged


def require_own_origin(request: Request) -> None:
    """Refuse what does not say that it comes from a page of ours. Browsers name the origin in every offer of a
    WebSocket, and send the cookie with it wherever the page is from. OtherSite."""
    if request.headers.get("origin") not in own_origins(request):
        raise OtherSite


def own_origins(request: Request) -> set[str]:
    """The origins of our own pages: the request's, and the public URL's."""
    own = {f"{request.url.scheme}://{request.url.netloc}"}
    public_url: str | None = request.app.state.public_url
    if public_url is not None:
        parts = urlsplit(public_url)
        own.add(f"{parts.scheme}://{parts.netloc}")
    return own


def is_secure(request: Request) -> bool:
    """Whether the browser reaches us over TLS."""
    public_url: str | None = request.app.state.public_url
    return request.url.scheme == "https" or (public_url is not None and public_url.startswith("https://"))


def may_sign_in(request: Request) -> bool:
    """Whether a session would be safe: over TLS, or on this machine."""
    return is_secure(request) or request.url.hostname in _LOOPBACK


def is_framed(request: Request) -> bool:
    """Whether the answer is for a frame in a page that may embed the portal, as far as the browser tells."""
    return bool(request.app.state.portal_ancestors) and request.headers.get("sec-fetch-dest") == "iframe"


def ticket_of(request: Request) -> Ticket | None:
    """The ticket in the request's cookie."""
    texts = (request.cookies.get(_cookie(request, of_portal=of_portal)) for of_portal in (True, False))
    text = next(filter(None, texts), None)
    return None if text is None else Ticket.parse(text)


def keep_ticket(response: Response, request: Request, ticket: Ticket, *, seconds: int, of_portal: bool) -> None:
    """Set the session's cookie, and remove that of another session. That of the portal may be sent in frames if
    somebody may embed it, but only of the site where it was set."""
    name = _cookie(request, of_portal=of_portal)
    response.set_cookie(name, ticket.text, max_age=seconds, **_attributes(request, of_portal=of_portal))
    _partition(response, request, of_portal=of_portal)
    _forget(response, request, of_portal=not of_portal)


def forget_ticket(response: Response, request: Request) -> None:
    """Remove the session's cookie."""
    for of_portal in (True, False):
        _forget(response, request, of_portal=of_portal)


def _forget(response: Response, request: Request, *, of_portal: bool) -> None:
    response.delete_cookie(_cookie(request, of_portal=of_portal), **_attributes(request, of_portal=of_portal))
    _partition(response, request, of_portal=of_portal)


def _cookie(request: Request, *, of_portal: bool) -> str:
    name = SECURE_COOKIE if is_secure(request) else PLAIN_COOKIE
    return name + OF_PORTAL if of_portal else name


def _attributes(request: Request, *, of_portal: bool) -> _Attributes:
    samesite: Literal["lax", "none"] = "none" if _is_for_frames(request, of_portal=of_portal) else "lax"
    return {"path": "/", "secure": is_secure(request), "httponly": True, "samesite": samesite}


def _partition(response: Response, request: Request, *, of_portal: bool) -> None:
    # Python 3.11's cookies know no `Partitioned`.
    if _is_for_frames(request, of_portal=of_portal):
        name, value = response.raw_headers.pop()
        response.raw_headers.append((name, value + b"; Partitioned"))


def _is_for_frames(request: Request, *, of_portal: bool) -> bool:
    return of_portal and is_secure(request) and bool(request.app.state.portal_ancestors)
