"""Builds the FastAPI app: routes, error handlers, limits, and a lifespan that opens the services they use."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from service.api.addresses import prefix_of
from service.api.document import ABOUT, TAGS, servers, webhooks
from service.api.documentation import add_documentation
from service.api.incoming.short_way import ShortWay
from service.api.problems import answer_problems
from service.api.protocol.bodies import BODY_TIMEOUT_S, MAX_HELD_BYTES, HeldBodies
from service.api.protocol.browsers import SecurityHeaders, cors
from service.api.routes import (
    access,
    applications,
    audit,
    background_tasks,
    contents,
    deliveries,
    destinations,
    endpoints,
    environments,
    event_types,
    examples,
    health,
    imports,
    messages,
    not_offered,
    operational_webhooks,
    pollers,
    replays,
    sockets,
    sources,
    statistics,
    streams,
    tokens,
)
from service.api.schemas.messages import MessageIn
from service.api.services import Services
from service.api.sockets import SocketPlaces
from service.application import exact_json
from service.domain.limits import MAX_BODY_BYTES

BASE_PATH = "/api/v1"
HOT_OPERATION = "v1.message.create"

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


def create_app(
    open_services: OpenServices,
    *,
    middleware: Sequence[Middleware] = (),
    routes: Sequence[BaseRoute] = (),
    cors_origins: Sequence[str] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
    max_held_bytes: int = MAX_HELD_BYTES,
    public_url: str | None = None,
    short_way: bool = True,
) -> FastAPI:
    """Build the API. The lifespan enters `open_services`; `routes` are added beside the API's own, unchanged.

    Without `short_way` FastAPI answers every request; nobody but the clock can tell the difference.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services() as services:
            app.state.services = services
            yield

    exact_json.limit_integers()
    app = _Api(
        title="Relevo",
        summary="Delivers webhooks.",
        description=ABOUT,
        servers=servers(prefix_of(public_url)),
        openapi_tags=TAGS,
        webhooks=webhooks(),
        version="1",
        lifespan=lifespan,
        middleware=[Middleware(SecurityHeaders, api_path=BASE_PATH), *middleware, *cors(cors_origins)],
        routes=list(routes),
        openapi_url=f"{BASE_PATH}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        # The instrumentation from outside opens the one SERVER span of a request.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.max_body_bytes = max_body_bytes
    app.state.body_timeout = BODY_TIMEOUT_S
    app.state.public_url = public_url
    app.state.held_bodies = HeldBodies(max_held_bytes)
    app.state.socket_places = SocketPlaces()
    add_documentation(app)
    operations = _operations(app)
    app.router.routes[:0] = operations
    if short_way:
        app.short_way = ShortWay(app, operations[0])
    app.router.routes += [*sockets.routes(below=BASE_PATH), *not_offered.routes()]
    answer_problems(app)
    return app


class _Api(FastAPI):
    """FastAPI with a short way for its hot operation. It strips a trailing slash from the path before routing and
    middleware see it."""

    short_way: ShortWay | None = None  # of HOT_OPERATION

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.short_way is not None and self.short_way.takes(scope):
            await self.short_way(scope, receive, send)
            return
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            path = scope["path"].rstrip("/") or "/"
            scope = {**scope, "path": path, "raw_path": scope.get("raw_path", b"").rstrip(b"/") or b"/"}
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with `MessageIn` added: its route parses the body itself, so FastAPI misses it."""
        document = super().openapi()
        schema = MessageIn.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document["components"]["schemas"]
        schemas |= {**schema.pop("$defs", {}), **schemas, "MessageIn": schema}
        return document


def _operations(app: FastAPI) -> list[APIRoute]:
    """Every route of the API, in matching order."""
    modules = (
        access,
        tokens,
        applications,
        audit,
        endpoints,
        destinations,
        pollers,
        operational_webhooks,
        replays,
        examples,
        statistics,
        environments,
        event_types,
        imports,
        streams,  # `msg/export` before `msg/{msg_id}`
        messages,
        deliveries,
        contents,
        background_tasks,
        sources,
        health,
    )
    operations = [route for module in modules for route in module.router.served(app, below=BASE_PATH)]
    return sorted(operations, key=_comes_after_hot)


def _comes_after_hot(route: BaseRoute) -> bool:
    # Routes are tried in order. In its place among the others, matching took a sixth of the cost of a message.
    return getattr(route, "operation_id", None) != HOT_OPERATION
