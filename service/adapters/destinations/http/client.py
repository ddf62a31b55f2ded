"""The process's HTTP client. It keeps connections between calls and nothing else, and ignores proxy variables."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext

import httpx

from service.adapters.destinations.http.call_events import TracedTls
from service.adapters.destinations.http.egress import Egress, GuardedResolver, LookUp
from service.adapters.destinations.http.transport import ReceiverConnector, WebhookTransport
from service.observability.metrics import Metrics

# Many servers close an idle connection after 5 s. A POST sent at that moment is lost, so we close ours earlier.
KEEP_ALIVE_S = 4.0
DNS_CACHE_S = 10
HAPPY_EYEBALLS_DELAY_S = 0.25
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
        limit=most,
        keepalive_timeout=KEEP_ALIVE_S,
        ttl_dns_cache=DNS_CACHE_S,
        happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S,
    )
    if metrics is not None:
        metrics.observe_pool(POOL, size=lambda: most, checked_out=lambda: len(connector._acquired))  # noqa: SLF001  # no public count
    try:
        async with _Client(
            transport=WebhookTransport(connector, queued=_waits(metrics)),
            timeout=None,
            trust_env=False,
            follow_redirects=False,
            event_hooks={"response": [_forget_location]},
        ) as client:
            yield client
    finally:
        await connector.close()
        await resolver.close()


def _waits(metrics: Metrics | None) -> Callable[[float], None]:
    return partial(metrics.pool_waited, POOL) if metrics is not None else lambda _seconds: None


class _Client(httpx.AsyncClient):
    """A client without cookies, so that one tenant's cookie is never sent to another's endpoint."""

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
