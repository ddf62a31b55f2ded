"""Attempts as they are made: the page, and the WebSocket that its script listens to."""

import asyncio
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from starlette.websockets import WebSocket

from service.api import permissions
from service.api.dependencies import ApplicationDep, ApplicationsDep
from service.api.parameters import ApplicationPage
from service.api.routes.sockets import OPERATION, application_of, wanted_of
from service.api.services import Services
from service.api.sockets import SocketPlaces, accept, as_request, refusing, tell
from service.application.access import Caller
from service.application.console_sessions import ConsoleSessions, Ticket
from service.application.ports.repositories import EVERY_APPLICATION
from service.application.tails import MayListen, tail
from service.console.listings import listing
from service.console.pages import go, page, pages
from service.console.shown import duration, text, word
from service.console.signing_in import require_own_origin, session_of
from service.domain.deliveries import Attempt, Status
from service.domain.errors import NotAuthenticated

SESSION_CHECK_INTERVAL_S = 2.0
MAX_ROWS = 200
RESULTS = (Status.SUCCESS, Status.FAIL)

router = pages()
routers = (router,)


@router.get("/live", operation_id="v1.application.list")
async def choose(request: Request, applications: ApplicationsDep, asked: ApplicationPage) -> Response:
    """Choose the application to watch, by its id or uid or from the list."""
    if wanted := request.query_params.get("app", "").strip():
        return go(f"/app/{quote(wanted, safe='')}/live")
    found = await applications.page(asked, left_out=EVERY_APPLICATION)
    return page(request, "live_choice.html", found=listing(found, asked, request.query_params, key=lambda one: one.id))


@router.get("/app/{app_id}/live", operation_id=OPERATION)
async def show_live(request: Request, application: ApplicationDep) -> Response:
    """Show the page, on which the script puts the attempts."""
    query = request.query_params
    return page(
        request,
        "live.html",
        application=application,
        event_types=query.get("event_types", ""),
        result=query.get("status", ""),
        results=RESULTS,
        most=MAX_ROWS,
    )


async def follow(socket: WebSocket) -> None:
    """Follow an application's attempts for as long as the session lasts."""
    services: Services = socket.app.state.services
    places: SocketPlaces = socket.app.state.socket_places
    async with refusing(socket):
        request = as_request(socket)
        require_own_origin(request)
        services, ticket, caller = await session_of(request, services)
        permissions.check(caller, operation=OPERATION)
        wanted = wanted_of(request)
        with places.taken(caller.org_id):
            application = await application_of(services, caller, request.query_params.get("app_id", ""))
            await accept(socket)
            may_listen = while_signed_in(services, ticket, caller)
            told = tail(
                application.id,
                services.attempt_news,
                services.attempt_reader,
                may_listen=may_listen,
                wanted=wanted,
            )
            await tell(socket, told, show=row_of, may_listen=may_listen)


def row_of(attempt: Attempt) -> dict[str, Any]:
    """An attempt as a row of the table; all of it is text to be shown as it is."""
    return {
        "message": attempt.message_id,
        "at": attempt.started_at.isoformat(timespec="milliseconds"),
        "eventType": text(attempt.event_type),
        "url": text(attempt.destination.shown),
        "state": word(attempt.status),
        "answer": str(attempt.response_status_code or "none"),
        "reason": attempt.reason or "",
        "duration": duration(attempt.duration_ms / 1000),
    }


def while_signed_in(services: Services, ticket: Ticket, caller: Caller) -> MayListen:
    """A function that tells whether the session lasts. It asks the database every other second at most."""
    now = asyncio.get_running_loop().time
    check_at = now() + SESSION_CHECK_INTERVAL_S

    async def lasts() -> bool:
        nonlocal check_at
        try:
            services.access.refuse_revoked(caller)
        except NotAuthenticated:
            return False
        if now() < check_at:
            return True
        check_at = now() + SESSION_CHECK_INTERVAL_S
        async with services.begin() as work:
            return await ConsoleSessions(work.console_sessions, clock=services.clock).find(ticket) is not None

    return lasts
