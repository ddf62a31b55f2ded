"""Records the phases of a call as events of its span: DNS, connect, TLS handshake, first byte.

A call over a reused connection has only the last one. No event contains an address or a host name.
"""

import ssl

from aiohttp.tracing import Trace
from opentelemetry import trace

REUSED = "relevo.connection.reused"
FIRST_BYTE = "first_byte"


class ConnectTrace(Trace):
    """The connector's callbacks while a connection is opened. One object serves all calls."""

    def __init__(self) -> None:
        """There is no trace configuration, as a session of aiohttp would have it."""

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
