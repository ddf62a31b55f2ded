"""The fast path of the route that sends a message: it reads the few arguments itself, without FastAPI.

FastAPI's resolution of them costs as much as all that Relevo does with the message. Every request that is unusual in
any respect still takes FastAPI's path, so that no rule is implemented twice.
"""

from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.security import HTTPAuthorizationCredentials

from service.api.dependencies import caller, organisation
from service.api.json_routes import Handler, JsonRoute
from service.api.protocol import ignored
from service.api.protocol.bodies import JsonRequest
from service.api.services import Services
from service.domain.limits import is_name

_WITH_CONTENT = {b"": True, b"with_content=true": True, b"with_content=false": False}


class MessageRoute(JsonRoute):
    """A route of messages; the one that sends has the fast path."""

    def get_route_handler(self) -> Handler:
        """The fast path where it applies, else FastAPI's, which alone calls dependencies added to a whole router."""
        whole_way = super().get_route_handler()
        if self.operation_id != "v1.message.create" or self.dependencies:
            return whole_way
        send = self.endpoint

        async def handle(request: Request) -> Response:
            usual = _usual(request)
            if usual is None:
                return await whole_way(request)
            opened: Services = request.app.state.services
            found = await organisation(await caller(request, opened, usual.credentials))
            with JsonRequest(request.scope, request.receive) as ours:
                answer: Response = await send(
                    request=ours,
                    app_id=usual.app_id,
                    caller=found,
                    services=opened,
                    idempotency_key=request.headers.get("idempotency-key"),
                    with_content=usual.with_content,
                )
            return ignored.told(answer, request)

        return handle


@dataclass(frozen=True, slots=True)
class _Usual:
    """The arguments of a usual request."""

    app_id: str
    credentials: HTTPAuthorizationCredentials
    with_content: bool


def _usual(request: Request) -> _Usual | None:
    """The arguments, or None when only FastAPI can read the request or say what is wrong with it."""
    app_id = request.path_params["app_id"]
    with_content = _WITH_CONTENT.get(request.scope["query_string"])
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if with_content is None or scheme != "Bearer" or not token or request.app.dependency_overrides:
        return None
    if not is_name(app_id):
        return None
    return _Usual(app_id, HTTPAuthorizationCredentials(scheme=scheme, credentials=token), with_content)
