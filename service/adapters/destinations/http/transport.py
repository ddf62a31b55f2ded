"""httpx over our own connections, so that whoever is given the process's `AsyncClient` sends by the same rules as the
engine: egress guard, pool, tolerant parser."""

from collections.abc import AsyncIterator

import aiohttp
import httpx

from service.adapters.destinations.http.answers import Malformed
from service.adapters.destinations.http.connections import Call, Connections
from service.adapters.destinations.http.requests import written
from service.adapters.destinations.http.targets import target_of

_FAILURES = (aiohttp.ClientError, Malformed, OSError)


class WebhookTransport(httpx.AsyncBaseTransport):
    """Sends over `connections`. httpx's timeouts do not apply; the caller sets a deadline."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer with its head; its stream yields the body and raises the error that cut it short."""
        target, content = target_of(request.url), await request.aread()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        sent = written(request.method, target, headers, content)
        try:
            call = await self.connections.ask(target, sent, timeout=None)
        except _FAILURES as error:
            raise _as_httpx(error) from error
        return httpx.Response(
            status_code=call.head.status,
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in call.head.headers],
            stream=_Body(call),
            request=request,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": b""},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self.connections.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, call: Call) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self._call.more():
                yield piece
        except _FAILURES as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        """Keep the connection if the whole answer was read, else close it."""
        self._call.close()


def _as_httpx(error: Exception) -> httpx.TransportError:
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("The receiver took too long.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError("No connection to the receiver.")
    if isinstance(error, Malformed):
        return httpx.RemoteProtocolError(str(error))
    return httpx.ReadError("The connection to the receiver broke.")
