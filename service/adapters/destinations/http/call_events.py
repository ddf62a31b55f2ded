"""Records the phases of a call as events of its span: DNS, connect, TLS handshake, first byte.

A call over a reused connection has only the last one. No event contains an address or a host name.
"""

import ssl
import time
from collections.abc import Callable

from aiohttp.tracing import Trace
from opentelemetry import trace

REUSED = "relevo.connection.reused"


class CallTrace(Trace):
    """The connector's callbacks for one call. `queued` gets the seconds that it waited for a free connection."""

    def __init__(self, queued: Callable[[float], None]) -> None:
        self.reused = False
        self._queued = queued
        self._queued_at = 0.0

    def first_byte(self) -> None:
        """The answer has begun."""
        _event("first_byte")

    async def send_connection_queued_start(self) -> None:
        """The pool is full."""
        self._queued_at = time.perf_counter()

    async def send_connection_queued_end(self) -> None:
        """There is room."""
        self._queued(time.perf_counter() - self._queued_at)

    async def send_connection_reuseconn(self) -> None:
        """The connection has been used before."""
        self.reused = True
        trace.get_current_span().set_attribute(REUSED, value=True)

    async def send_connection_create_start(self) -> None:
        """A connection is being opened, with DNS and TLS if needed."""
        _event("connect.start")

    async def send_connection_create_end(self) -> None:
        """The connection is open."""
        _event("connect.end")

    async def send_dns_resolvehost_start(self, host: str) -> None:  # noqa: ARG002 - the name is not to be told
        """The name is looked up."""
        _event("dns.start")

    async def send_dns_resolvehost_end(self, host: str) -> None:  # noqa: ARG002 - the name is not to be told
        """The name's addresses are known."""
        _event("dns.end")

    async def send_dns_cache_hit(self, host: str) -> None:
        """The addresses were known before."""

    async def send_dns_cache_miss(self, host: str) -> None:
        """The addresses were not known."""


class TracedTls(ssl.SSLObject):
    """A TLS connection that records the start and end of its handshake. For `SSLContext.sslobject_class`."""

    _span: trace.Span | None = None

    def do_handshake(self) -> None:
        """Called repeatedly until the handshake is done."""
        if self._span is None:
            self._span = trace.get_current_span()
            self._span.add_event("tls.start")
        super().do_handshake()
        self._span.add_event("tls.end", {"tls.protocol.version": self.version() or ""})


def _event(name: str) -> None:
    trace.get_current_span().add_event(name)
