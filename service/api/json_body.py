"""JSON in and out: read strictly, so that what is broken is a fault of the request, and written without a detour."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute


class JsonRoute(APIRoute):
    """A route whose body is read by `parse`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given a request of our own."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return handle_json


def parse(body: bytes) -> Any:
    """The value of a JSON document. RequestValidationError for what is not UTF-8, nested too deep or no JSON at all."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": ("body",), "msg": f"This is not valid JSON: {error.msg}"}
        raise RequestValidationError([fault]) from error


class _JsonRequest(Request):
    async def json(self) -> Any:
        return parse(await self.body())


class JsonResponse(Response):
    """JSON by orjson, which lets fragments of stored JSON through as they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return orjson.dumps(content)
