"""What a destination is: where messages go, by kind. How each kind is called is known to its sender alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict, assert_never
from urllib.parse import urlsplit

from service.domain.ids import MessageId

LONGEST_REMEMBERED = 2_048  # of a URL that is longer, nothing is kept between attempts
LONGEST_NAME = 253
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.IGNORECASE).fullmatch

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDestination:
    """A receiver of webhooks. The URL is a credential: its tenant may see it, no signal does.

    `headers` are the endpoint's own. They are sealed wherever they are kept, and opened for an attempt only: what is
    read for anything else has none.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """Where it leads, as its tenant is told and rows hold it."""
        return self.url


# One kind so far. The next one joins by `|`, and the type checker leads to each place that has to know it.
Destination = HttpDestination


def destination_of(shown: str, headers: Mapping[str, str] | None = None) -> Destination:
    """The destination of which that is shown, with its headers if they were unsealed. All are of one kind so far."""
    return HttpDestination(url=shown, headers=headers or {})


def opened(destination: Destination, headers: Mapping[str, str]) -> Destination:
    """The destination with its unsealed headers, for an attempt."""
    match destination:
        case HttpDestination():
            return replace(destination, headers=headers)
        case _:
            assert_never(destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A message ready to go: `body` byte for byte, and the `headers` that vouch for it.

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
    """The URL without user, path and query. One that cannot be read leads nowhere, which is for the sender to say."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return Address(scheme="", host="", port=0)
    return Address(scheme=parts.scheme, host=parts.hostname or "", port=port)


def why_nowhere(host: str, port: int | None) -> str | None:
    """Why nobody can be reached at this host (in ASCII, not a literal address) and port; None when somebody may be."""
    if port == 0:
        return "Nobody can listen on port 0."
    name = host.removesuffix(".")
    if len(name) > LONGEST_NAME:
        return f"A host name has at most {LONGEST_NAME} characters."
    for label in name.split("."):
        if not _LABEL(label):
            return f"{label[:64]!r} cannot be a part of a host name: each has 1 to 63 letters, digits and hyphens."
    return None
