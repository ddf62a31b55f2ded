"""WebSockets as the middleware sees them: what was answered to the offer, and how each ended."""

from collections.abc import Sequence
from contextlib import suppress

from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

SWITCHING_PROTOCOLS = 101
_INTERNAL_ERROR = 1011  # the close code for a fault of ours


def name_route(scope: Scope) -> None:
    """Note the route that a WebSocket's offer will take, since its span is named before the router is asked."""
    routes = getattr(scope.get("app"), "routes", ())
    scope["route"] = next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)


class ObservedSocket:
    """Passes a WebSocket's messages on, with headers added to the answer, and notes what they say of its outcome."""

    def __init__(self, receive: Receive, send: Send, *, told: Sequence[tuple[bytes, bytes]]) -> None:
        self.status = 0
        self.close_code: int | None = None
        self.closed_by_us = False
        self._receive = receive
        self._send = send
        self._told = told

    async def receive(self) -> Message:
        """The next message of the client."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and self.close_code is None:
            self.close_code = message.get("code")
        return message

    async def send(self, message: Message) -> None:
        """Pass on a message of ours."""
        match message["type"]:
            case "websocket.accept":
                self.status = SWITCHING_PROTOCOLS
                message["headers"] = [*message.get("headers", ()), *self._told]
            case "websocket.http.response.start":
                self.status, self.closed_by_us = message["status"], True
                message["headers"] = [*message.get("headers", ()), *self._told]
            case "websocket.close":
                self.status, self.closed_by_us = self.status or 403, True
                self.close_code = message.get("code") if self.status == SWITCHING_PROTOCOLS else None
        await self._send(message)

    async def fail(self) -> None:
        """End what a fault of ours has broken off, unless it has ended."""
        if self.closed_by_us:
            return
        with suppress(OSError):  # the client is gone already
            if self.status == SWITCHING_PROTOCOLS:
                await self.send({"type": "websocket.close", "code": _INTERNAL_ERROR})
                return
            await self.send({"type": "websocket.http.response.start", "status": 500, "headers": []})
            await self.send({"type": "websocket.http.response.body", "body": b""})
