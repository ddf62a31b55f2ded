"""Response headers for browsers: security headers, and CORS."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EVERYWHERE = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
# Responses are private data, not pages: browsers must not cache, frame or run them.
_OF_THE_API = (
    *_EVERYWHERE,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
)


class SecurityHeaders:
    """ASGI middleware that adds security headers to every response; the pages of the API set a policy of their own."""

    def __init__(self, app: ASGIApp, *, api_path: str) -> None:
        self._app = app
        self._api_path = api_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request through, and add the headers that the response does not set itself."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        added = _OF_THE_API if scope["path"].startswith(self._api_path) else _EVERYWHERE

        async def send_with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                given = list(message.get("headers", ()))
                set_already = {name.lower() for name, _ in given}
                message["headers"] = [*given, *(header for header in added if header[0] not in set_already)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def cors(origins: Sequence[str]) -> list[Middleware]:
    """CORS middleware for these origins, if any. No credentials mode: a browser never sends a bearer token by
    itself."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "x-request-id", "svix-req-id"],
            expose_headers=["x-request-id", "retry-after", "traceresponse", "relevo-ignored"],
            max_age=600,
        )
    ]
