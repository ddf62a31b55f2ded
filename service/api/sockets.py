"""WebSockets that tell of attempts as they are made: how many there may be, and each from its offer to its close."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, assert_never

import orjson
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from service.api.problems import refused, status_of
from service.api.protocol import ignored
from service.api.protocol.sockets import GOING_AWAY, TRY_AGAIN_LATER
from service.application.ports.attempt_news import Missed
from service.application.tails import MayListen, TailBegun, TailEnded, TailQuiet, Told
from service.domain.deliveries import Attempt
from service.domain.errors import Busy, NotAuthenticated, RelevoError
from service.domain.ids import OrgId

MAX_SOCKETS = 1_000
MAX_SOCKETS_OF_ORGANISATION = 100
MAX_SOCKETS_WITHOUT_TOKEN = 200
CHECK_INTERVAL_S = 5.0
REASON_CHARACTERS = 100  # a close frame has room for 123 bytes
_GONE = 1006  # the code for a connection that ended without one
_REFUSED = 4000  # a close code is this and the HTTP status that says the same

ShowAttempt = Callable[[Attempt], Mapping[str, Any]]


class SocketPlaces:
    """The places of this process for WebSockets. `None` stands for those whose token is still to come."""

    def __init__(
        self,
        most: int = MAX_SOCKETS,
        *,
        of_organisation: int = MAX_SOCKETS_OF_ORGANISATION,
        without_token: int = MAX_SOCKETS_WITHOUT_TOKEN,
    ) -> None:
        self._most = most
        self._of_organisation = of_organisation
        self._without_token = without_token
        self._open: Counter[OrgId | None] = Counter()

    def taken_by(self, org_id: OrgId | None) -> int:
        """How many places they have now."""
        return self._open[org_id]

    @contextmanager
    def taken(self, org_id: OrgId | None) -> Iterator[None]:
        """Take a place while the block lasts. Busy when there is none."""
        own = self._without_token if org_id is None else self._of_organisation
        if self._open.total() >= self._most or self._open[org_id] >= own:
            raise Busy("Too many live tails are open. Close one, or try again shortly.")
        self._open[org_id] += 1
        try:
            yield
        finally:
            self._open[org_id] -= 1
            if not self._open[org_id]:
                del self._open[org_id]


def as_request(socket: WebSocket) -> Request:
    """The request by which the WebSocket was offered."""
    scheme = "https" if socket.scope["scheme"] in {"wss", "https"} else "http"
    return Request({**socket.scope, "type": "http", "method": "GET", "scheme": scheme})


async def accept(socket: WebSocket, *, subprotocol: str | None = None) -> None:
    """Accept the offer, and report the parameters that are not known. WebSocketDisconnect when the client is gone."""
    told = [(name.encode(), value.encode()) for name, value in ignored.headers(socket.scope).items()]
    try:
        await socket.accept(subprotocol, told)
    except OSError:
        raise WebSocketDisconnect(_GONE) from None


@asynccontextmanager
async def refusing(socket: WebSocket) -> AsyncIterator[None]:
    """Answer what refuses the offer as any request is refused; after the handshake, close with 4000 and the status, as
    in 4401, or with 1013 for what may be tried again."""
    try:
        yield
    except WebSocketDisconnect:
        return
    except RelevoError as error:
        if socket.application_state is WebSocketState.CONNECTING:
            with suppress(OSError):  # the client is gone already
                await socket.send_denial_response(await refused(as_request(socket), error))
        else:
            code = TRY_AGAIN_LATER if isinstance(error, Busy) else _REFUSED + status_of(error)
            await _close(socket, code, error.detail)


async def tell(
    socket: WebSocket, told: AsyncGenerator[Told, None], *, show: ShowAttempt, may_listen: MayListen
) -> None:
    """Tell a client that was accepted until it goes, may listen no longer, or this process leaves.

    WebSocketDisconnect when the client went, NotAuthenticated when it may listen no longer.
    """
    telling = asyncio.create_task(_tell(socket, told, show))
    attending = asyncio.create_task(_attend(socket, may_listen))
    try:
        await asyncio.wait((telling, attending), return_when=asyncio.FIRST_COMPLETED)
        ended = (attending if attending.done() else telling).result()
    finally:
        for task in (telling, attending):
            task.cancel()
        await asyncio.gather(telling, attending, return_exceptions=True)
    if ended.forbidden:
        raise NotAuthenticated
    await _close(socket, GOING_AWAY, "")


async def _tell(socket: WebSocket, told: AsyncGenerator[Told, None], show: ShowAttempt) -> TailEnded:
    async with aclosing(told):
        async for what in told:
            match what:
                case TailBegun():
                    await _send(socket, "ready", {})
                case Attempt():
                    await _send(socket, "attempt", show(what))
                case Missed(count=count):
                    await _send(socket, "gap", {"missed": count})
                case TailQuiet():
                    pass  # the protocol's own pings find out who is gone
                case TailEnded():
                    return what
                case _:
                    assert_never(what)
    return TailEnded(forbidden=False)


async def _attend(socket: WebSocket, may_listen: MayListen) -> TailEnded:
    """Until the client may listen no longer. WebSocketDisconnect when it goes; whatever it says is not heeded."""
    now = asyncio.get_running_loop().time
    check_at = now() + CHECK_INTERVAL_S
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(check_at):
                said = await socket.receive()
                if said["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(said["code"])
        if now() >= check_at:
            if not await may_listen():
                return TailEnded(forbidden=True)
            check_at = now() + CHECK_INTERVAL_S


async def _send(socket: WebSocket, name: str, data: Mapping[str, Any]) -> None:
    await socket.send_text(orjson.dumps({"type": name, "data": data}).decode())


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with suppress(WebSocketDisconnect):
        await socket.close(code, reason[:REASON_CHARACTERS])
