"""Operations: declared by the modules of `routes`, and made into routes once, for the application that serves them.

FastAPI analyses an operation when a router takes it, some ten milliseconds each, and again for whoever takes it over
from there. Every start would wait for both, and throw the first away.
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
    """The operations of a module, written down as FastAPI's own router is told of them and not analysed yet."""

    def __init__(self, **options: Any) -> None:
        """Everything that an APIRouter takes."""
        super().__init__(**options)
        self._declared: list[Declared] = []

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Write it down."""
        self._declared.append((path, endpoint, options))

    def served(self, app: FastAPI, *, below: str) -> list[APIRoute]:
        """The routes for an application: below a path, and with the audit trail where it is written down.

        They are the application's own instead of a router's that it includes: FastAPI matches through every inclusion,
        and the instrumentation through all of them again. Measured, that was a quarter of what accepting a message
        costs.
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
    # The last of the route's own, so that those before it end after the transaction has.
    return {**options, "dependencies": [*(options["dependencies"] or []), AUDITED]}


def _answer_bodies(route: APIRoute) -> None:
    """Whether it reads one is known when it has been analysed."""
    answers = _of_a_body()
    route.responses = answers.responses | route.responses
    route.response_fields = answers.response_fields | route.response_fields


@cache
def _of_a_body() -> APIRoute:
    return APIRoute("/", lambda: None, responses=documented_body())
