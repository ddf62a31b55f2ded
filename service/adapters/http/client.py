"""The one HTTP client of the process. It keeps nothing between calls but connections, and obeys no environment."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext

import aiohttp
import httpx

from service.adapters.http.call_events import TracedTls, telling
from service.adapters.http.egress import Egress, GuardedResolver
from service.adapters.http.transport import WebhookTransport, noting_reuse
from service.observability.metrics import Metrics

# Many servers drop an idle connection after 5 s; a POST that meets the dropping one is lost, so ours go first.
KEEPALIVE_SECONDS = 4.0
DNS_CACHE_SECONDS = 10
LONGEST_HEADER = 8_190
MOST_HEADERS = 128
READ_BUFFER = 16_384
# The engine may use all of its concurrency, and a call made for an API request must not wait behind it.
SPARE_CONNECTIONS = 32
POOL = "http"


@asynccontextmanager
async def open_http_client(
    egress: Egress, *, concurrency: int, ssl_context: SSLContext | None = None, metrics: Metrics | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client for `concurrency` calls of the engine at once, and some of the API's own beside them.

    It has no timeouts of its own: whoever calls sets one deadline around the whole exchange. Certificates are checked
    against `ssl_context`, by default the authorities in `SSL_CERT_FILE` or those that come with httpx.
    """
    context = ssl_context or httpx.create_ssl_context()
    context.sslobject_class = TracedTls
    resolver = GuardedResolver(egress, metrics=metrics)
    most = concurrency + SPARE_CONNECTIONS
    connector = aiohttp.TCPConnector(
        resolver=resolver,
        socket_factory=egress.open_socket,
        ssl=context,
        limit=most,
        keepalive_timeout=KEEPALIVE_SECONDS,
        ttl_dns_cache=DNS_CACHE_SECONDS,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=READ_BUFFER,
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
        max_headers=MOST_HEADERS,
        trace_configs=[telling(noting_reuse(), queued=_waits(metrics))],
    )
    if metrics is not None:
        # The connector has no public count of what it lends.
        metrics.observe_pool(POOL, size=lambda: most, checked_out=lambda: len(connector._acquired))  # noqa: SLF001
    try:
        async with _Client(
            transport=WebhookTransport(session, verify=context),
            timeout=None,
            trust_env=False,
            follow_redirects=False,
            event_hooks={"response": [_forget_location]},
        ) as client:
            yield client
    finally:
        await session.close()
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
