"""Signing in and out. The token is exchanged for a session and is nowhere kept."""

from secrets import token_bytes
from urllib.parse import urlsplit

from fastapi import Request, Response

from service.api.dependencies import ProcessServicesDep
from service.api.routes.access import PORTAL
from service.api.services import Services
from service.application.access import Caller
from service.application.console_sessions import ConsoleSessions
from service.console.forms import FormDep
from service.console.pages import BASE, go, page, pages, public_pages
from service.console.signing_in import (
    ConsoleSessionsDep,
    forget_ticket,
    is_framed,
    keep_ticket,
    may_sign_in,
    refuse_other_origins,
    ticket_of,
)
from service.console.words import REFUSED_SIGN_INS
from service.domain.errors import NotAuthenticated

public = public_pages()
of_sessions = pages()
routers = (public, of_sessions)


@public.get("", operation_id="console.start")
async def start() -> Response:
    """Lead to the first page."""
    return go("/overview")


@public.get("/sign-in", operation_id="console.sign-in")
async def ask_for_token(request: Request, services: ProcessServicesDep) -> Response:
    """Show the ways to sign in."""
    return ways_in(request, services, then=own_path(request.query_params.get("next")))


@public.post("/sign-in", operation_id="console.sign-in.create")
async def sign_in(request: Request, services: ProcessServicesDep, form: FormDep) -> Response:
    """Open a session for a valid token."""
    refuse_other_origins(request)
    wanted = own_path(form.get("next"))
    if not may_sign_in(request):
        return ways_in(request, services, then=wanted)
    try:
        caller = await services.access.verify(form.get("token"))
    except NotAuthenticated:
        return ways_in(request, services, then=wanted, status=401, problem=REFUSED_SIGN_INS["token"])
    return await opened(request, services, caller, then=wanted.removeprefix(BASE))


def ways_in(request: Request, services: Services, *, then: str, status: int = 200, problem: str = "") -> Response:
    """The page with the ways to sign in, which leads to `then`; 403 when whoever sent a form is not safe here."""
    safe, provider = may_sign_in(request), services.identity_provider
    return page(
        request,
        "sign_in.html",
        status=status if safe or request.method == "GET" else 403,
        next=then,
        safe=safe,
        problem=problem,
        provider=None if provider is None else provider.name,
    )


async def opened(request: Request, services: Services, caller: Caller, *, then: str) -> Response:
    """Open a session of the caller, and lead to the page `then`."""
    services = await services.of(caller.org_id)
    async with services.begin() as work:
        sessions = ConsoleSessions(work.console_sessions, clock=services.clock)
        ticket, session = await sessions.open(caller, new_secret=token_bytes)
    response = go(then)
    lasts = (session.expires_at - session.created_at).total_seconds()
    keep_ticket(response, request, ticket, seconds=int(lasts), of_portal=caller.app_id is not None)
    return response


@of_sessions.post("/sign-out", operation_id="console.sign-out")
async def sign_out(request: Request, sessions: ConsoleSessionsDep) -> Response:
    """End the session, in every window and every process."""
    if ticket := ticket_of(request):
        await sessions.end(ticket)
    # In a frame there is nowhere else to go: nobody may embed the sign-in.
    response = go(PORTAL.removeprefix(BASE) if is_framed(request) else "/sign-in", done="signed-out")
    forget_ticket(response, request)
    return response


def own_path(wanted: str | None) -> str:
    """The path to go to after signing in: one of our own, whatever was asked for."""
    parts = urlsplit(wanted or "")
    own = not parts.scheme and not parts.netloc and parts.path.startswith(f"{BASE}/") and "\\" not in parts.path
    return wanted if own and wanted and wanted.isprintable() else f"{BASE}/overview"
