"""JSON in and out: read strictly, so that what is broken is a fault of the request, and written without a detour."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


class JsonRoute(APIRoute):
    """A route whose body is read as strictly as by `parse`, and only up to the application's limit."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given a request of our own."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json


class JsonResponse(Response):
    """JSON by orjson, which lets fragments of stored JSON through as they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return orjson.dumps(content)


def parse(body: bytes) -> Any:
    """The value of a JSON document. RequestValidationError for what is not UTF-8, nested too deep or no JSON at all."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise not_json(error) from error


def not_json(error: ValueError) -> RequestValidationError:
    """The fault of a body that cannot be read, by what the reader said of it."""
    reason = error.msg if isinstance(error, orjson.JSONDecodeError) else str(error)
    return RequestValidationError(
        [{"type": "json_invalid", "loc": ("body",), "msg": f"This is not valid JSON: {reason}"}]
    )


class JsonRequest(Request):
    """A request whose body is read only up to the application's limit, of length and of time."""

    async def body(self) -> bytes:
        """The whole body. 413 once it is too long, 408 when it does not end in time."""
        try:
            async with asyncio.timeout(self.app.state.body_within):
                return await super().body()
        except TimeoutError:
            raise HTTPException(408, headers={"connection": "close"}) from None

    async def json(self) -> Any:
        """The body, parsed."""
        # FastAPI knows what to do with a JSONDecodeError, and takes anything else for a fault of its own.
        return orjson.loads(await self.body())

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces. 413 once it is too long."""
        # Counted here and not by a middleware outside of ours, so that a refusal is JSON and has a request id.
        limit = self.app.state.max_body_bytes
        size = int(self.headers.get("content-length") or 0)
        if size > limit:
            raise HTTPException(413)
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            if size > limit:
                raise HTTPException(413)
            yield chunk
