"""Adds the console to the API: its pages, its assets, its pages for errors, and the way there from `/`."""

from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.routing import Route, WebSocketRoute

from service.console.assets import serve_asset
from service.console.pages import BASE, answer_with_pages, below_prefix
from service.console.routes import (
    about,
    applications,
    audit,
    brand,
    destinations,
    endpoints,
    event_type_imports,
    event_types,
    examples,
    headers,
    imports,
    live,
    messages,
    openid,
    overview,
    portal,
    replays,
    search,
    sending,
    sessions,
    signing_secrets,
    tasks,
)

_MODULES = (
    sessions,
    openid,
    portal,
    brand,
    overview,
    applications,
    live,
    messages,
    endpoints,
    destinations,
    signing_secrets,
    headers,
    examples,
    replays,
    tasks,
    imports,
    sending,
    event_types,
    event_type_imports,
    search,
    audit,
    about,
)


def add_console(app: FastAPI, *, ancestors: Sequence[str] = ()) -> None:
    """Serve the console below BASE, and lead there from `/`. Pages of the origins `ancestors` may embed the portal."""
    app.state.portal_ancestors = tuple(ancestors)
    for module in _MODULES:
        for router in module.routers:
            app.router.routes += router.served(app, below=BASE)
    app.router.routes.append(WebSocketRoute(f"{BASE}/live/ws", live.follow))
    app.router.routes.append(Route(f"{BASE}/static/{{name}}", serve_asset, name="console_asset"))
    app.router.routes.append(Route("/", _to_console))
    answer_with_pages(app)


async def _to_console(request: Request) -> Response:
    return below_prefix(request, RedirectResponse(BASE))
