"""httpx over aiohttp's connector. The connector opens and pools connections; we write the requests and parse the
answers ourselves, so that headers keep their spelling and a malformed answer does not hide its status."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection

from service.adapters.destinations.http.answers import Head, Malformed
from service.adapters.destinations.http.call_events import CallTrace
from service.adapters.destinations.http.exchange import HttpExchange
from service.domain.destinations import MAX_CACHED_URL_CHARACTERS

DEADLINE = "relevo.deadline"
CACHED_TARGETS = 4_096

# The receiver closed a pooled connection as we began to write, or sent unsolicited bytes on it.
_STALE_CONNECTION = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, Malformed)
_FAILURES = (aiohttp.ClientError, Malformed, OSError)
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OURS = frozenset({"host", "content-length", "transfer-encoding"})


class ReceiverConnector(aiohttp.TCPConnector):
    """A connector whose connections are `HttpExchange`s."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # The connector has no public way to set it.
        self._factory = cast("partial[ResponseHandler]", HttpExchange)


class WebhookTransport(httpx.AsyncBaseTransport):
    """Sends over a connector. `queued` gets the seconds that a call waited for a free connection.

    A request's extension `relevo.deadline` is a time of the event loop's clock by which the last byte must be read.
    """

    def __init__(self, connector: ReceiverConnector, *, queued: Callable[[float], None]) -> None:
        self._connector = connector
        self._queued = queued
        self._target = lru_cache(maxsize=CACHED_TARGETS)(_target_of)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer with its head; its stream yields the body and raises the error that cut it short."""
        url = str(request.url)
        target = self._target(url) if len(url) <= MAX_CACHED_URL_CHARACTERS else _target_of(url)
        content = await request.aread()
        written = _written(request, target, content)
        try:
            exchange, head = await self._exchange(target, written, request.extensions.get(DEADLINE))
        except _FAILURES as error:
            raise _as_httpx(error) from error
        return httpx.Response(
            status_code=head.status,
            headers=head.headers,
            stream=exchange,
            request=request,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": b""},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connector.close()

    async def _exchange(self, target: "_Target", written: bytes, deadline: float | None) -> "tuple[_Exchange, Head]":
        trace = CallTrace(self._queued)
        try:
            return await self._once(target, trace, written, deadline)
        except _STALE_CONNECTION:
            # If the receiver has read the request all the same, it gets it twice, as with any retry.
            if not trace.reused:
                raise
        return await self._once(target.apart, CallTrace(self._queued), written, deadline)

    async def _once(
        self, target: "_Target", trace: CallTrace, written: bytes, deadline: float | None
    ) -> "tuple[_Exchange, Head]":
        async with asyncio.timeout_at(deadline):
            connection = await self._connector.connect(cast("ClientRequest", target), [trace], _NO_TIMEOUT)
        exchange = _Exchange(connection, apart=target.is_apart)
        try:
            head = await exchange.line.ask(written, deadline=deadline)
        except BaseException:
            exchange.close()
            raise
        trace.first_byte()
        return exchange, head


class _Exchange(httpx.AsyncByteStream):
    """A connection taken from the pool for one exchange, and the body of its answer."""

    def __init__(self, connection: Connection, *, apart: bool) -> None:
        self._connection: Connection | None = connection
        self._apart = apart
        self.line = cast("HttpExchange", connection.protocol)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self.line.more():
                yield piece
        except _FAILURES as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        """Return the connection to the pool if the whole answer was read, else close it."""
        self.close()

    def close(self) -> None:
        """The same, synchronously."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.line.finish() and not self._apart:
            connection.release()
        else:
            connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where to connect, with the attributes that the connector reads from a request, and the request's path and Host.

    Connections of a target that `is_apart` are not pooled, so each one is new.
    """

    url: SimpleNamespace
    port: int
    connection_key: ConnectionKey
    path: str
    host_header: str
    is_apart: bool = False
    ssl: bool = True
    proxy: None = None
    server_hostname: None = None

    def is_ssl(self) -> bool:
        """Asked by the connector."""
        return self.connection_key.is_ssl

    @property
    def apart(self) -> "_Target":
        """The same address, with new connections only."""
        return replace(self, is_apart=True, connection_key=self.connection_key._replace(proxy_headers_hash=1))


def _target_of(text: str) -> _Target:
    url = httpx.URL(text)
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        raise httpx.UnsupportedProtocol("The URL is not one of HTTP.")
    host, port = url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS[url.scheme]
    return _Target(
        url=SimpleNamespace(raw_host=host),
        port=port,
        connection_key=ConnectionKey(host, port, url.scheme == "https", True, None, None, None),  # noqa: FBT003  # a tuple
        path=url.raw_path.decode("ascii"),
        host_header=url.netloc.decode("ascii"),
    )


def _written(request: httpx.Request, target: _Target, content: bytes) -> bytes:
    """The request as bytes: headers as spelled, in Latin-1. ValueError for an invalid header."""
    lines = [f"{request.method} {target.path} HTTP/1.1", f"Host: {target.host_header}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() not in _OURS]
    if content or request.method == "POST":
        lines.append(f"Content-Length: {len(content)}")
    head = "\r\n".join(lines)
    if head.count("\n") >= len(lines) or head.count("\r") >= len(lines) or "\0" in head:
        raise ValueError("A header contains a line break.")
    try:
        return head.encode("latin-1") + b"\r\n\r\n" + content
    except UnicodeEncodeError as error:
        raise ValueError("A header is not Latin-1.") from error


def _as_httpx(error: Exception) -> httpx.TransportError:
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("The receiver took too long.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError("No connection to the receiver.")
    if isinstance(error, Malformed):
        return httpx.RemoteProtocolError(str(error))
    return httpx.ReadError("The connection to the receiver broke.")
