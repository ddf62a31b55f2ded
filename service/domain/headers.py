"""Headers: which ones an endpoint may ask for, which hold secrets, what is kept of those that went and came."""

import re
from collections.abc import Iterable, Mapping

Pairs = tuple[tuple[str, str], ...]

LONGEST_NAME = 256
LONGEST_VALUE = 4_096
LARGEST = 16_384  # all headers of an endpoint together, names and values
MOST_KEPT = 4_096
MASK = "***"

# Ours to set, a proxy's to set, or meaningful only between two hops.
# fmt: off
_FORBIDDEN = frozenset({
    "age", "cache-control", "clear-site-data", "connection", "content-encoding", "content-language",
    "content-length", "content-location", "content-type", "expect", "expires", "host", "http2-settings", "keep-alive",
    "pragma", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "trailers",
    "transfer-encoding", "upgrade", "user-agent", "warning",
})
# fmt: on
# fmt: off
_FORBIDDEN_PREFIXES = (
    "x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-", "webhook-",
)
# fmt: on
# fmt: off
_CREDENTIALS = frozenset({
    "authorization", "proxy-authenticate", "proxy-authorization", "www-authenticate", "x-api-key", "x-auth-token",
})
# fmt: on
_TELLING = re.compile("auth|token|secret|key|pass|pwd|cookie|signature|credential|session|jwt|bearer").search
_NAME = re.compile(rf"[!#$%&'*+\-.^_`|~0-9A-Za-z]{{1,{LONGEST_NAME}}}").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_UNSHOWN = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")


def why_name_refused(name: str) -> str | None:
    """Why no endpoint may ask for a header of this name; None when it may."""
    if not _NAME(name):
        return f"{name[:64]!r} is not the name of a header."
    lowered = name.lower()
    if lowered in _FORBIDDEN or lowered.startswith(_FORBIDDEN_PREFIXES):
        return f"The header {name!r} is not yours to set."
    return None


def why_value_refused(value: str) -> str | None:
    """Why no header may have this value; None when it may."""
    if len(value.encode()) > LONGEST_VALUE or not _VALUE(value):
        return f"The value of a header is at most {LONGEST_VALUE:,} bytes of printable Latin-1 text."
    return None


def why_refused(headers: Mapping[str, str | None]) -> str | None:
    """Why these headers do not go together; None when they do."""
    names = set[str]()
    for name in headers:
        if name.lower() in names:
            return f"The header {name!r} is there twice: names that differ only in case are the same header."
        names.add(name.lower())
    size = sum(len(name.encode()) + len((value or "").encode()) for name, value in headers.items())
    if size > LARGEST:
        return (
            f"The headers of an endpoint are at most {LARGEST:,} bytes together, names and values; these are {size:,}."
        )
    return None


def holds_credentials(name: str) -> bool:
    """Whether a header's value is told to nobody once it is set."""
    return name.lower() in _CREDENTIALS


def may_be_secret(name: str) -> bool:
    """Whether a header's value is left out of what is kept of an attempt: by its name it may let somebody in."""
    return holds_credentials(name) or _TELLING(name.lower()) is not None


def kept(headers: Iterable[tuple[str, str]]) -> Pairs:
    """What is kept of the headers that went or came: the first 4,096 bytes, without secrets and control characters."""
    room, pairs = MOST_KEPT, []
    for name, value in headers:
        shown_name = _shown(name[:LONGEST_NAME])
        shown = MASK if may_be_secret(name[:LONGEST_NAME]) else _shown(value)
        room -= _size(shown_name) + _size(shown)
        if room < 0:
            break
        pairs.append((shown_name, shown))
    return tuple(pairs)


def _shown(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
