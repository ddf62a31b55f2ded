"""Operations: the modules of `routes` declare them, and each becomes a FastAPI route once, when the app is built.

FastAPI analyses an operation when it is added to a router (about 10 ms each), and again when that router is included in
another. Every start would pay for both and discard the first.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from service.api.audit import AUDITED, is_audited
from service.api.problems import documented_body

Declared = tuple[str, Callable[..., Any], dict[str, Any]]


class Operations(APIRouter):
    """A router that records the operations of its module and leaves their analysis to `served`."""

    def __init__(self, **options: Any) -> None:
        """`options` are those of an APIRouter."""
        super().__init__(**options)
        self._declared: list[Declared] = []

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Record the operation."""
        self._declared.append((path, endpoint, options))

    def served(self, app: FastAPI, *, below: str) -> list[APIRoute]:
        """The routes for an app, with the prefix `below`, and with the audit dependency where the operation is audited.

        They are added to the app itself, not to an included router: FastAPI matches at every level of inclusion, and
        the instrumentation does so once more. That took a quarter of the cost of accepting a message.
        """
        router = APIRouter(
            prefix=below + self.prefix,
            tags=self.tags,
            route_class=self.route_class,
            dependencies=self.dependencies,
            dependency_overrides_provider=app,
            strict_content_type=False,
        )
        for path, endpoint, options in self._declared:
            router.add_api_route(path, endpoint, **_audited(options))
        routes = [route for route in router.routes if isinstance(route, APIRoute)]
        for route in routes:
            if route.body_field is not None:
                _answer_bodies(route)
        return routes


def _audited(options: dict[str, Any]) -> dict[str, Any]:
    if not is_audited(options["operation_id"]):
        return options
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
