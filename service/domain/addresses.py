"""Where a URL leads, as far as a span may know: a webhook's URL is a credential."""

from functools import lru_cache
from typing import TypedDict
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


class Address(TypedDict):
    """Scheme, host and port."""

    scheme: str
    host: str
    port: int


@lru_cache(maxsize=4096)
def address(url: str) -> Address:
    """The URL without user, path and query. One that cannot be read leads nowhere, which is for the sender to say."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return Address(scheme="", host="", port=0)
    return Address(scheme=parts.scheme, host=parts.hostname or "", port=port)
