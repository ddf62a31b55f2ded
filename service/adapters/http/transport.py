"""httpx over aiohttp, as `httpx-aiohttp` does it, except for two things that a webhook needs: its URL is requested as
it was written, and a connection that the receiver was about to close costs no attempt."""

import ssl
from types import SimpleNamespace

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions
from yarl import URL

_DROPPED = (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError, aiohttp.ServerDisconnectedError)


class WebhookTransport(AiohttpTransport):
    """Sends over a session, whose settings apply to every request; one of its traces has to be `noting_reuse`."""

    def __init__(self, session: aiohttp.ClientSession, *, verify: ssl.SSLContext) -> None:
        super().__init__(client=session, verify=verify)
        self._session = session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer; its body is read from the stream."""
        with map_aiohttp_exceptions():
            answer = await self._answer(request)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.raw_headers,
            stream=AiohttpResponseStream(answer),
            request=request,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": (answer.reason or "").encode()},
        )

    async def _answer(self, request: httpx.Request) -> aiohttp.ClientResponse:
        connection = SimpleNamespace(reused=False)
        try:
            return await self._request(request, connection)
        except _DROPPED:
            # Kept open since an earlier call, it was closed by the receiver just as we began to write. Should the
            # request have been read all the same, the receiver gets it twice, as it would by the attempt's retry.
            if not connection.reused:
                raise
        return await self._request(request, SimpleNamespace())

    async def _request(self, request: httpx.Request, connection: SimpleNamespace) -> aiohttp.ClientResponse:
        return await self._session.request(
            request.method,
            # Of an unencoded URL yarl rewrites escapes: %2F in a query becomes a slash.
            URL(str(request.url), encoded=True),
            headers=request.headers,
            data=request.content or None,
            allow_redirects=False,
            trace_request_ctx=connection,
        )


def noting_reuse() -> aiohttp.TraceConfig:
    """What tells a request's context that it goes over a connection which has been used before."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    return trace


async def _note_reuse(_: aiohttp.ClientSession, trace: SimpleNamespace, __: object) -> None:
    trace.trace_request_ctx.reused = True
