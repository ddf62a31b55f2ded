"""Names SERVER spans by their route, from a table that is built once.

The instrumentation's own look-up walks and rebuilds the tree of routes for every request, which costs more than the
span.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from opentelemetry.semconv.attributes.http_attributes import HTTP_ROUTE
from opentelemetry.util.http import sanitize_method
from starlette.types import ASGIApp


def name_by_table(app: FastAPI) -> None:
    """Give an instrumented application the table. Call it before the application first runs; later it has no effect."""
    build = app.build_middleware_stack

    def build_with_table() -> ASGIApp:
        outermost: Any = build()
        # `outermost.app` is the instrumentation's middleware. It has no public way to choose its look-up.
        outermost.app.default_span_details = RouteNames(app)
        answering: ASGIApp = outermost
        return answering

    setattr(app, "build_middleware_stack", build_with_table)  # noqa: B010 - as the instrumentation itself does it


class RouteNames:
    """Name and attributes of a request's span, as the instrumentation would choose them."""

    def __init__(self, app: FastAPI) -> None:
        self._routes = [
            (context.path_regex.match, context.methods, context.path)
            for context in iter_route_contexts(app.routes)
            if context.path is not None
        ]

    def __call__(self, scope: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        written = scope.get("method", "")
        known = sanitize_method(written.strip())
        method = "HTTP" if known == "_OTHER" else known
        route = self._template(scope["path"], written)
        if route is None:
            return method, {}
        return f"{method} {route}".strip(), {HTTP_ROUTE: route}

    def _template(self, path: str, method: str) -> str | None:
        """The template of the first route that matches path and method, else of the last that matches the path."""
        partial = None
        for matches, methods, template in self._routes:
            if matches(path):
                if methods is None or method in methods:
                    return template
                partial = template
        return partial
