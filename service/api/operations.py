"""Operations: the modules of `routes` declare them, and each becomes a FastAPI route once, when the first app is built.

FastAPI analyses an operation when it is added to a router (about 10 ms each), and again when that router is included in
another. Every start would pay for both and discard the first; whoever builds some hundred apps, for each of them.
"""

from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, request_response

from service.api.audit import AUDITED, is_audited
from service.api.problems import documented_body

Declared = tuple[str, Callable[..., Any], dict[str, Any]]


class Operations(APIRouter):
    """A router that records the operations of its module and leaves their analysis to `served`."""

    def __init__(self, **options: Any) -> None:
        """`options` are those of an APIRouter."""
        super().__init__(**options)
        self._declared: list[Declared] = []
        self._analysed: dict[str, list[APIRoute]] = {}

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Record the operation."""
        self._declared.append((path, endpoint, options))

    def audits(self, options: dict[str, Any]) -> bool:
        """Whether an operation that was declared with these options is audited."""
        return is_audited(options["operation_id"])

    def served(self, app: FastAPI, *, below: str) -> list[APIRoute]:
        """The routes for an app, with the prefix `below`, and with the audit dependency where the operation is audited.

        They are added to the app itself, not to an included router: FastAPI matches at every level of inclusion, and
        the instrumentation does so once more. That took a quarter of the cost of accepting a message.
        """
        if below not in self._analysed:
            self._analysed[below] = self._analyse(below)
        return [_of(app, route) for route in self._analysed[below]]

    def _analyse(self, below: str) -> list[APIRoute]:
        router = APIRouter(
            prefix=below + self.prefix,
            tags=self.tags,
            route_class=self.route_class,
            dependencies=self.dependencies,
            default_response_class=self.default_response_class,
            include_in_schema=self.include_in_schema,
            strict_content_type=False,
        )
        for path, endpoint, options in self._declared:
            router.add_api_route(path, endpoint, **(_audited(options) if self.audits(options) else options))
        routes = [route for route in router.routes if isinstance(route, APIRoute)]
        for route in routes:
            if route.body_field is not None:
                _answer_bodies(route)
        return routes


def _of(app: FastAPI, route: APIRoute) -> APIRoute:
    """The route as the app's own: with a handler that heeds the dependencies which that app overrides."""
    own = copy(route)
    own.dependency_overrides_provider = app
    own.app = request_response(own.get_route_handler())
    return own


def _audited(options: dict[str, Any]) -> dict[str, Any]:
    # Last among the route's dependencies, so that those before it exit after the commit.
    return {**options, "dependencies": [*(options["dependencies"] or []), AUDITED]}


def _answer_bodies(route: APIRoute) -> None:
    """Document the errors of a body. Whether a route reads one is known only after its analysis."""
    answers = _of_a_body()
    route.responses = answers.responses | route.responses
    route.response_fields = answers.response_fields | route.response_fields


@cache
def _of_a_body() -> APIRoute:
    return APIRoute("/", lambda: None, responses=documented_body())
