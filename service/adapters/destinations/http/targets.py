"""Where a request goes: parsed from a URL once, in the form in which aiohttp's connector reads it."""

from dataclasses import dataclass
from types import SimpleNamespace

import httpx
from aiohttp.client_reqrep import ConnectionKey

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect, as attributes that the connector reads from a request, and the request's path and Host."""

    url: SimpleNamespace
    port: int
    connection_key: ConnectionKey
    path: str
    host_header: str
    ssl: bool = True
    proxy: None = None
    server_hostname: None = None

    def is_ssl(self) -> bool:
        """Asked by the connector."""
        return self.connection_key.is_ssl


def target_of(url: httpx.URL) -> Target:
    """The target of a URL. Raises UnsupportedProtocol when it is not one of HTTP."""
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        raise httpx.UnsupportedProtocol("The URL is not one of HTTP.")
    host, port = url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS[url.scheme]
    return Target(
        url=SimpleNamespace(raw_host=host),
        port=port,
        connection_key=ConnectionKey(host, port, url.scheme == "https", True, None, None, None),  # noqa: FBT003  # a tuple
        path=url.raw_path.decode("ascii"),
        host_header=url.netloc.decode("ascii"),
    )
