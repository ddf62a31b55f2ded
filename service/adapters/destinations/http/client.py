"""The one HTTP client of the process. It keeps nothing between calls but connections, and obeys no environment."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext

import httpx

from service.adapters.destinations.http.call_events import TracedTls
from service.adapters.destinations.http.egress import Egress, GuardedResolver, LookUp
from service.adapters.destinations.http.transport import ReceiverConnector, WebhookTransport
from service.observability.metrics import Metrics

# Many servers drop an idle connection after 5 s; a POST that meets the dropping one is lost, so ours go first.
KEEPALIVE_SECONDS = 4.0
DNS_CACHE_SECONDS = 10
HAPPY_EYEBALLS_SECONDS = 0.25
# The engine may use all of its concurrency, and a call made for an API request must not wait behind it.
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
    """A client for `concurrency` calls of the engine at once, and `spare` ones of the API's own beside them.

    It has no timeouts of its own: whoever calls sets one deadline around the whole exchange. Certificates are checked
    against `ssl_context`, by default the authorities in `SSL_CERT_FILE` or those that come with httpx. Names are looked
    up by `look_up`, by default as this machine does; whatever it says, only permitted addresses are called.
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
        keepalive_timeout=KEEPALIVE_SECONDS,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS,
    )
    if metrics is not None:
        metrics.observe_pool(POOL, size=lambda: most, checked_out=lambda: len(connector._acquired))  # noqa: SLF001  # it tells nobody
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
    """A client that keeps no cookies, so that no tenant's cookie reaches another."""

    @property  # type: ignore[misc]  # without a setter, as there is nothing to set
    def cookies(self) -> httpx.Cookies:
        """Always empty."""
        return _NoCookies()


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """Does nothing."""


async def _forget_location(response: httpx.Response) -> None:
    # httpx parses the next URL even when it is told not to follow, and a bad one would hide the receiver's status.
    response.headers.pop("location", None)
