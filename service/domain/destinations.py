"""The kinds of destination that messages are sent to. How to call a kind is known to its sender alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict, assert_never
from urllib.parse import urlsplit

from service.domain.ids import MessageId

MAX_CACHED_URL_CHARACTERS = 2_048  # longer URLs are parsed again at each attempt
MAX_HOST_CHARACTERS = 253
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.IGNORECASE).fullmatch

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDestination:
    """A receiver of webhooks over HTTP. The URL is a credential: only its tenant sees it, never logs or traces.

    `headers` are the endpoint's own. They are stored encrypted and decrypted for attempts only; a destination that was
    read for anything else has none.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """The public part, which its tenant sees and rows contain: the URL."""
        return self.url


# One kind so far. Add the next one by `|`; the type checker then reports each place that has to know it.
Destination = HttpDestination


def destination_of(shown: str, headers: Mapping[str, str] | None = None) -> Destination:
    """The destination with that public part, and its decrypted headers if given. All are of one kind so far."""
    return HttpDestination(url=shown, headers=headers or {})


def opened(destination: Destination, headers: Mapping[str, str]) -> Destination:
    """The destination with its decrypted headers, for an attempt."""
    match destination:
        case HttpDestination():
            return replace(destination, headers=headers)
        case _:
            assert_never(destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A message ready to be sent: `body` byte for byte, and the `headers` with its signatures.

    Without a `content_type` it is JSON.
    """

    message_id: MessageId
    body: bytes
    headers: Mapping[str, str]
    content_type: str | None = None


class Address(TypedDict):
    """Scheme, host and port."""

    scheme: str
    host: str
    port: int


def address(url: str) -> Address:
    """Scheme, host and port of a URL; empty for one that cannot be parsed, which the sender reports."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return Address(scheme="", host="", port=0)
    return Address(scheme=parts.scheme, host=parts.hostname or "", port=port)


def why_nowhere(host: str, port: int | None) -> str | None:
    """Why no server can be at this host (a name in ASCII, not a literal address) and port; None if one can."""
    if port == 0:
        return "Nobody can listen on port 0."
    name = host.removesuffix(".")
    if len(name) > MAX_HOST_CHARACTERS:
        return f"A host name has at most {MAX_HOST_CHARACTERS} characters."
    for label in name.split("."):
        if not _LABEL(label):
            return f"{label[:64]!r} cannot be a part of a host name: each has 1 to 63 letters, digits and hyphens."
    return None
