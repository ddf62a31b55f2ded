"""Route classes for JSON: they authorize the caller before they read the body, and report unknown fields and
parameters in a response header."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.api.dependencies import bearer, caller, organisation
from service.api.protocol import ignored
from service.api.protocol.bodies import DEFAULT_BODY_LIMITS, BodyLimits, JsonRequest
from service.api.protocol.ignored import Known

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ToldRoute(APIRoute):
    """A route that reports unknown query parameters in the response header `relevo-ignored`."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, after a check of the query's names."""
        handle = super().get_route_handler()
        parameters = get_flat_params(self.dependant)
        known = frozenset(each.alias for each in parameters if isinstance(each.field_info, Query))

        async def handle_told(request: Request) -> Response:
            if request.scope["query_string"]:
                ignored.note(request.scope, ignored.of_query(request.query_params, known))
            return ignored.told(await handle(request), request)

        return handle_told


class JsonRoute(ToldRoute):
    """A route that parses its body strictly, up to the app's size limit and to `most` values."""

    most = DEFAULT_BODY_LIMITS

    def get_route_handler(self) -> Handler:
        """FastAPI's handler on a JsonRequest; the caller is authorized before the body is read."""
        handle = super().get_route_handler()
        admission, reads_body = _Admission(self.dependant), self.body_field is not None
        model = None if self.body_field is None else self.body_field.field_info.annotation
        known = Known.of(model) if isinstance(model, type) and issubclass(model, BaseModel) else None

        async def handle_json(request: Request) -> Response:
            with JsonRequest(request.scope, request.receive, most=self.most) as ours:
                ours.known = known
                if reads_body:
                    await admission.admit(ours)
                    # Read here, since FastAPI would report every refusal as a body that it cannot parse.
                    await ours.body()
                return await handle(ours)

        return handle_json


class DocumentRoute(JsonRoute):
    """A route whose body is a whole document, so its limits of values are higher."""

    most = BodyLimits(values=200_000, lists=200_000)


class PayloadRoute(JsonRoute):
    """A route whose body holds a payload: no limit of values below the size limit, but one of lists and objects."""

    most = BodyLimits(values=2 * 1024 * 1024, lists=100_000)


class JsonResponse(Response):
    """JSON by orjson, which passes stored JSON (`orjson.Fragment`) through unchanged."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Serialize the body."""
        return as_json(content)


def as_json(content: Any) -> bytes:
    """Serialize a pydantic model, or anything that orjson can."""
    return orjson.dumps(content.model_dump(by_alias=True) if isinstance(content, BaseModel) else content)


class _Admission:
    """What a route requires of its caller, read from its dependencies."""

    def __init__(self, route: Dependant) -> None:
        asked = {dependant.call for dependant in _all(route)}
        self._asks = caller in asked
        self._for_organisations = organisation in asked

    async def admit(self, request: Request) -> None:
        """Authorize the caller as the route's own dependencies would. NotAuthenticated, NotAllowed."""
        if not self._asks or request.app.dependency_overrides:
            return
        found = await caller(request, await bearer(request))
        if self._for_organisations:
            await organisation(found)


def _all(dependant: Dependant) -> Iterator[Dependant]:
    for inner in dependant.dependencies:
        yield inner
        yield from _all(inner)
