"""The short way of the request that sends a message: past FastAPI, behind the application's own middleware.

FastAPI's and Starlette's layers cost twice as much as all that Relevo does with the message. Every request that is
unusual in any respect takes the whole way, so that no rule is implemented twice.
"""

from typing import NamedTuple, NoReturn

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.dependencies import authenticated
from service.api.incoming.messages import take_message
from service.api.protocol import ignored
from service.api.protocol.bodies import JsonRequest
from service.api.services import Services
from service.domain.limits import is_name

_WITH_CONTENT = {b"": True, b"with_content=true": True, b"with_content=false": False}
# What says how a body arrives, or asks for more than an answer.
_UNUSUAL = frozenset({b"content-encoding", b"transfer-encoding", b"expect", b"upgrade", b"origin"})
_IN_SCOPE = "relevo.usual"
_BEARER = b"Bearer "


class _Usual(NamedTuple):
    """The arguments of a usual request."""

    app_id: str
    token: str
    with_content: bool
    key: str | None


class ShortWay:
    """An ASGI application for the usual requests of one route, `POST <prefix>{app_id}<suffix>`."""

    def __init__(self, app: FastAPI, route: APIRoute) -> None:
        self._app = app
        self._route = route
        self._prefix, _, self._suffix = route.path_format.partition("{app_id}")
        # Dependencies that were added to a whole router are called on the whole way alone.
        self._is_open = not route.dependencies
        self._outermost: ASGIApp | None = None

    def takes(self, scope: Scope) -> bool:
        """Whether the request is a usual one. Its arguments are then noted in its scope."""
        path: str = scope["path"]
        if scope["method"] != "POST" or not path.endswith(self._suffix) or not path.startswith(self._prefix):
            return False
        if not self._is_open or self._app.dependency_overrides or scope.get("root_path"):
            return False
        usual = _usual(path[len(self._prefix) : -len(self._suffix)], scope)
        if usual is None:
            return False
        scope[_IN_SCOPE] = usual
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that it takes."""
        if self._outermost is None:
            self._outermost = self._behind_middleware()
        scope["app"] = self._app
        scope["route"] = self._route
        await self._outermost(scope, receive, send)

    def _behind_middleware(self) -> ASGIApp:
        # Built at the first request together with the whole way, after which an application takes no more middleware.
        if self._app.middleware_stack is None:
            self._app.middleware_stack = self._app.build_middleware_stack()
        outermost: ASGIApp = self._answer
        for cls, args, options in reversed(self._app.user_middleware):
            outermost = cls(outermost, *args, **options)
        return outermost

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._taken(scope, receive)
            headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
            headers += [(name.encode(), said.encode()) for name, said in ignored.headers(scope).items()]
        except Exception as error:  # noqa: BLE001 - answered by the handlers of the whole way, or raised again by them
            await self._answer_problem(error, scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": self._route.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _taken(self, scope: Scope, receive: Receive) -> bytes:
        usual: _Usual = scope[_IN_SCOPE]
        services: Services = self._app.state.services
        with JsonRequest(scope, receive) as request:
            caller = await authenticated(request, services, usual.token)
            caller.require_organisation()
            return await take_message(
                request,
                app_id=usual.app_id,
                caller=caller,
                services=await services.of(caller.org_id),
                key=usual.key,
                with_content=usual.with_content,
            )

    async def _answer_problem(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        async def fail(*_: object) -> NoReturn:
            raise error

        await ExceptionMiddleware(fail, handlers=self._app.exception_handlers)(scope, receive, send)


def _usual(app_id: str, scope: Scope) -> _Usual | None:
    """The arguments, or None when only FastAPI can read the request or say what is wrong with it."""
    headers = scope["headers"]
    fields: dict[bytes, bytes] = dict(headers)
    with_content = _WITH_CONTENT.get(scope["query_string"])
    authorization = fields.get(b"authorization", b"")
    if with_content is None or len(fields) != len(headers) or not _UNUSUAL.isdisjoint(fields):
        return None
    token = authorization[len(_BEARER) :].decode("latin-1")
    if not authorization.startswith(_BEARER) or not token or token != token.strip():
        return None
    if b"content-length" not in fields or not is_name(app_id):
        return None
    key = fields.get(b"idempotency-key")
    return _Usual(
        app_id,
        token=token,
        with_content=with_content,
        key=None if key is None else key.decode("latin-1"),
    )
