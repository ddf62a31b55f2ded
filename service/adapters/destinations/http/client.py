"""The process's HTTP client. It keeps connections between calls and nothing else, and ignores proxy variables."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext
from typing import Any

import httpx

from service.adapters.destinations.http.call_events import TracedTls
from service.adapters.destinations.http.connections import Connections, ReceiverConnector
from service.adapters.destinations.http.egress import HAPPY_EYEBALLS_DELAY_S, Egress, GuardedResolver, LookUp
from service.adapters.destinations.http.transport import WebhookTransport
from service.observability.metrics import Metrics

DNS_CACHE_S = 10
# Beyond the engine's concurrency, so that a call for an API request does not wait for the engine's.
SPARE_CONNECTIONS = 32
POOL = "http"


@asynccontextmanager
async def open_http_client(
    egress: Egress,
    *,
    concurrency: int,
    spare: int = SPARE_CONNECTIONS,
    ssl_context: SSLContext | None = None,
    metrics: Metrics | None = None,
    look_up: LookUp | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a pool of `concurrency` connections for the engine and `spare` ones for the API.

    It has no timeouts of its own: the caller sets one deadline for the whole exchange. Certificates are verified
    by `ssl_context`, by default with the authorities in `SSL_CERT_FILE` or those of httpx. `look_up` resolves names, by
    default as this machine does; only permitted addresses are called in any case.
    """
    context = ssl_context or httpx.create_ssl_context()
    context.sslobject_class = TracedTls
    resolver = GuardedResolver(egress, metrics=metrics, look_up=look_up)
    most = concurrency + spare
    connector = ReceiverConnector(
        resolver=resolver,
        socket_factory=egress.open_socket,
        ssl=context,
        ttl_dns_cache=DNS_CACHE_S,
        happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S,
    )
    connections = Connections(connector, limit=most, queued=_waits(metrics))
    if metrics is not None:
        metrics.observe_pool(POOL, size=lambda: most, checked_out=lambda: connections.in_use)
    try:
        async with _Client(
            connections,
            transport=WebhookTransport(connections),
            timeout=None,
            trust_env=False,
            follow_redirects=False,
            event_hooks={"response": [_forget_location]},
        ) as client:
            yield client
    finally:
        await connections.close()
        await resolver.close()


def connections_of(client: httpx.AsyncClient) -> Connections:
    """What lies below a client of `open_http_client`, for a sender that needs nothing of httpx."""
    if not isinstance(client, _Client):
        raise TypeError("Attempts are made with a client of `open_http_client`, which guards the addresses called.")
    return client.connections


def _waits(metrics: Metrics | None) -> Callable[[float], None]:
    return partial(metrics.pool_waited, POOL) if metrics is not None else lambda _seconds: None


class _Client(httpx.AsyncClient):
    """A client without cookies, so that one tenant's cookie is never sent to another's endpoint."""

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.connections = connections

    @property  # type: ignore[misc]  # without a setter, as there is nothing to set
    def cookies(self) -> httpx.Cookies:
        """Always empty."""
        return _NoCookies()


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """Does nothing."""


async def _forget_location(response: httpx.Response) -> None:
    # httpx parses `Location` even when redirects are off, and a bad URL there would hide the receiver's status.
    response.headers.pop("location", None)
