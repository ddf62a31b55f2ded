"""The application: routes, error answers, limits, and a lifespan that opens what they need."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from inspect import signature
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from service.api.problems import answer_problems
from service.api.routes import applications, deliveries, endpoints, event_types, health, messages
from service.api.schemas.messages import MessageIn
from service.api.services import Services

BASE_PATH = "/api/v1"
LARGEST_BODY = 2 * 1024 * 1024

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


def create_app(
    open_services: OpenServices,
    *,
    middleware: Sequence[Middleware] = (),
    routes: Sequence[BaseRoute] = (),
    max_body_bytes: int = LARGEST_BODY,
) -> FastAPI:
    """The API. `open_services` is entered when it starts to serve; `routes` are served beside it, as they are."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services() as services:
            app.state.services = services
            yield

    app = _Api(
        title="Relevo",
        summary="Delivers webhooks.",
        version="1",
        lifespan=lifespan,
        middleware=middleware,
        routes=list(routes),
        openapi_url=f"{BASE_PATH}/openapi.json",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        # The instrumentation from outside opens the one SERVER span of a request.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.max_body_bytes = max_body_bytes
    app.include_router(_v1())
    app.add_route("/", _to_docs, include_in_schema=False)
    answer_problems(app)
    app.router.routes[:] = _flat(app.router.routes)
    return app


class _Api(FastAPI):
    """Every path is also served with a slash at its end, which is gone before anybody else sees the path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            path = scope["path"].rstrip("/") or "/"
            scope = {**scope, "path": path, "raw_path": scope.get("raw_path", b"").rstrip(b"/") or b"/"}
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The document, with the one body that is read by hand."""
        document = super().openapi()
        schema = MessageIn.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document["components"]["schemas"]
        schemas |= {**schema.pop("$defs", {}), **schemas, "MessageIn": schema}
        return document


def _v1() -> APIRouter:
    router = APIRouter(prefix=BASE_PATH)
    for routes in (applications, endpoints, event_types, messages, deliveries, health):
        router.include_router(routes.router)
    return router


def _flat(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """The same routes without the routers that they were included by.

    FastAPI matches through every inclusion, and the instrumentation through all of them again: measured, a quarter of
    what accepting a message costs. The route of `scope` then also knows its whole template.
    """
    parameters = list(signature(APIRoute).parameters)
    return [
        type(context.original_route)(**{name: getattr(context, name) for name in parameters if hasattr(context, name)})
        if isinstance(context.original_route, APIRoute)
        else context.original_route
        for context in iter_route_contexts(routes)
    ]


async def _to_docs(_request: object) -> RedirectResponse:
    return RedirectResponse("/docs")
