"""Where a call's time goes, as events of its span: looking up the name, connecting, the handshake, the first byte.

A call over a connection that is open already has only the last of them. Nothing here tells an address or a name.
"""

import ssl
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import aiohttp
from opentelemetry import trace

REUSED = "relevo.connection.reused"

Step = Callable[[aiohttp.ClientSession, SimpleNamespace, object], Awaitable[None]]


def telling(config: aiohttp.TraceConfig, *, queued: Callable[[float], None]) -> aiohttp.TraceConfig:
    """The same traces, which also write events. `queued` is told how long a call waited for the pool to have room."""
    config.on_connection_queued_start.append(_queued)
    config.on_connection_queued_end.append(_unqueued(queued))
    config.on_connection_reuseconn.append(_reused)
    config.on_dns_resolvehost_start.append(_event("dns.start"))
    config.on_dns_resolvehost_end.append(_event("dns.end"))
    config.on_connection_create_start.append(_event("connect.start"))
    config.on_connection_create_end.append(_event("connect.end"))
    config.on_request_end.append(_event("first_byte"))
    return config


class TracedTls(ssl.SSLObject):
    """A TLS connection that tells when its handshake begins and ends. For `SSLContext.sslobject_class`."""

    _span: trace.Span | None = None

    def do_handshake(self) -> None:
        """Called again and again until the handshake is done."""
        if self._span is None:
            self._span = trace.get_current_span()
            self._span.add_event("tls.start")
        super().do_handshake()
        self._span.add_event("tls.end", {"tls.protocol.version": self.version() or ""})


def _event(name: str) -> Step:
    async def write(_: aiohttp.ClientSession, __: SimpleNamespace, ___: object) -> None:
        trace.get_current_span().add_event(name)

    return write


async def _reused(_: aiohttp.ClientSession, __: SimpleNamespace, ___: object) -> None:
    trace.get_current_span().set_attribute(REUSED, value=True)


async def _queued(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.queued_at = time.perf_counter()


def _unqueued(queued: Callable[[float], None]) -> Step:
    async def tell(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        queued(time.perf_counter() - context.queued_at)

    return tell
