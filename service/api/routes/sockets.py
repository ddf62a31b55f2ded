"""The live tail over a WebSocket, for programs: the same attempts, gaps and rights as the event stream of `streams`."""

import asyncio
from functools import partial

import orjson
from fastapi.security.utils import get_authorization_scheme_param
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.api import permissions
from service.api.dependencies import correlation_id
from service.api.lasting import while_valid
from service.api.parameters import event_types, storable
from service.api.protocol import ignored
from service.api.protocol.refusals import Misplaced
from service.api.routes.streams import attempt_told
from service.api.schemas.rules import StatusCode
from service.api.services import Services
from service.api.sockets import SocketPlaces, accept, as_request, refusing, tell
from service.application.access import Caller
from service.application.tails import TailFilter, tail
from service.application.use_cases import UseCases
from service.domain.applications import Application
from service.domain.deliveries import Status
from service.domain.errors import NotAuthenticated, NoToken
from service.observability.naming import name

OPERATION = "v1.message-attempt.tail"
SUBPROTOCOL = "relevo.v1"
BEARER_SUBPROTOCOL = "relevo.bearer."  # followed by the token, and never chosen
TOKEN_TIMEOUT_S = 5.0
PARAMETERS = frozenset({"event_types", "status"})

_status: TypeAdapter[Status] = TypeAdapter(StatusCode)


def routes(*, below: str) -> list[BaseRoute]:
    """The WebSocket below this path, and what is answered there to any other request."""
    path = f"{below}/app/{{app_id}}/attempt/tail/ws"
    return [
        WebSocketRoute(path, tail_over_websocket),
        Route(path, ask_to_upgrade, methods=["GET"], include_in_schema=False),
    ]


async def ask_to_upgrade(_request: Request) -> Response:
    """Answer a request that offers no WebSocket, or whose offer a proxy dropped. HTTPException 426."""
    raise HTTPException(426, "This path speaks WebSocket: send an offer to upgrade.", {"upgrade": "websocket"})


async def tail_over_websocket(socket: WebSocket) -> None:
    """Follow the attempts of an application live, for as long as the token holds."""
    services: Services = socket.app.state.services
    places: SocketPlaces = socket.app.state.socket_places
    ignored.note(socket.scope, ignored.of_query(socket.query_params, PARAMETERS))
    async with refusing(socket):
        wanted, token = wanted_of(as_request(socket)), _offered_token(socket)
        accepted = token is None
        if token is None:
            token = await _token_after_accept(socket, places)
        caller = await services.access.verify(token)
        permissions.check(caller, operation=OPERATION)
        services = await services.of(caller.org_id)
        with places.taken(caller.org_id):
            application = await application_of(services, caller, socket.path_params["app_id"])
            if not accepted:
                await accept(socket, subprotocol=_chosen(socket))
            may_listen = while_valid(services, token)
            told = tail(
                application.id,
                services.attempt_news,
                services.attempt_reader,
                may_listen=may_listen,
                wanted=wanted,
            )
            await tell(socket, told, show=partial(attempt_told, services=services), may_listen=may_listen)


async def application_of(services: Services, caller: Caller, ref: str) -> Application:
    """The caller's application with this id or uid. NotFound."""
    name(org_id=caller.org_id)
    async with services.begin() as work:
        found = await UseCases(services, caller, work, correlation_id=correlation_id()).application(storable(ref))
    name(app_id=found.id)
    return found


def wanted_of(request: Request) -> TailFilter:
    """The filter in the query, by the parameters of the event stream. Misplaced."""
    status = request.query_params.get("status")
    try:
        wanted = None if status is None else _status.validate_python(status)
    except ValidationError as error:
        raise Misplaced(error.errors()[0]["msg"], place=("query", "status")) from None
    return TailFilter(event_types=event_types(request), status=wanted)


def _offered_token(socket: WebSocket) -> str | None:
    """The token in the header `Authorization` or beside the subprotocol; None when it is still to come."""
    if "authorization" in socket.headers:
        scheme, token = get_authorization_scheme_param(socket.headers["authorization"])
        if scheme.lower() != "bearer":
            raise NoToken
        return token
    offered: list[str] = [each for each in socket.scope["subprotocols"] if each.startswith(BEARER_SUBPROTOCOL)]
    return offered[0].removeprefix(BEARER_SUBPROTOCOL) if offered else None


def _chosen(socket: WebSocket) -> str | None:
    return SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None


async def _token_after_accept(socket: WebSocket, places: SocketPlaces) -> str:
    """Accept, and wait for the token as the first message. NoToken, NotAuthenticated."""
    with places.taken(None):
        await accept(socket, subprotocol=_chosen(socket))
        try:
            async with asyncio.timeout(TOKEN_TIMEOUT_S):
                said = await socket.receive()
        except TimeoutError:
            raise NoToken("No token was sent in time.") from None
    if said["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(said["code"])
    try:
        token = orjson.loads(said.get("text") or b"")["token"]
    except (ValueError, KeyError, TypeError):
        raise NoToken('The first message is {"token": "..."}.') from None
    if not isinstance(token, str):
        raise NotAuthenticated
    return token
