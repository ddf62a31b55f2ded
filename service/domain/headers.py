"""HTTP headers: which ones an endpoint may set, which contain secrets, and what an attempt stores of them."""

import re
from collections.abc import Callable, Iterable, Mapping

Pairs = tuple[tuple[str, str], ...]

MAX_NAME_CHARACTERS = 256
MAX_VALUE_BYTES = 4_096
MAX_TOTAL_BYTES = 16_384  # of all headers of an endpoint, names and values
MAX_KEPT_BYTES = 4_096
MASK = "***"

# Set by us or by proxies, or meaningful only between two hops.
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
_looks_secret = re.compile("auth|token|secret|key|pass|pwd|cookie|signature|credential|session|jwt|bearer").search
_NAME = re.compile(rf"[!#$%&'*+\-.^_`|~0-9A-Za-z]{{1,{MAX_NAME_CHARACTERS}}}").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")


def why_name_refused(name: str) -> str | None:
    """Why no endpoint may set a header of this name; None when it may."""
    if not _NAME(name):
        return f"{name[:64]!r} is not the name of a header."
    lowered = name.lower()
    if lowered in _FORBIDDEN or lowered.startswith(_FORBIDDEN_PREFIXES):
        return f"The header {name!r} is not yours to set."
    return None


def why_value_refused(value: str) -> str | None:
    """Why no header may have this value; None when it may."""
    if len(value.encode()) > MAX_VALUE_BYTES or not _VALUE(value):
        return f"The value of a header is at most {MAX_VALUE_BYTES:,} bytes of printable Latin-1 text."
    return None


def why_refused(headers: Mapping[str, str | None]) -> str | None:
    """Why these headers are refused as a whole; None when they are accepted."""
    names = set[str]()
    for name in headers:
        if name.lower() in names:
            return f"The header {name!r} is there twice: names that differ only in case are the same header."
        names.add(name.lower())
    size = sum(len(name.encode()) + len((value or "").encode()) for name, value in headers.items())
    if size > MAX_TOTAL_BYTES:
        return (
            f"The headers of an endpoint are at most {MAX_TOTAL_BYTES:,} bytes together, names and values; "
            f"these are {size:,}."
        )
    return None


def holds_credentials(name: str) -> bool:
    """Whether a header's value is never shown again once it is set."""
    return name.lower() in _CREDENTIALS


def may_be_secret(name: str) -> bool:
    """Whether a header's value is masked in stored attempts, because its name suggests a credential."""
    return holds_credentials(name) or _looks_secret(name.lower()) is not None


def shown_name(name: str) -> tuple[str, bool]:
    """A header's name as it is stored, and whether its value may be secret."""
    return _shown(name), may_be_secret(name)


def kept(
    headers: Iterable[tuple[str, str]],
    *,
    room: int = MAX_KEPT_BYTES,
    named: Callable[[str], tuple[str, bool]] = shown_name,
) -> Pairs:
    """The part of an attempt's headers that is stored: the first `room` bytes, with secrets masked and without control
    characters. `named` is `shown_name`, or remembers what it says."""
    pairs = []
    for name, value in headers:
        told, is_secret = named(name[:MAX_NAME_CHARACTERS])
        shown = MASK if is_secret else _shown(value)
        room -= _size(told) + _size(shown)
        if room < 0:
            break
        pairs.append((told, shown))
    return tuple(pairs)


def room_after(pairs: Pairs) -> int:
    """How many bytes of headers may be stored after these."""
    return MAX_KEPT_BYTES - sum(_size(name) + _size(value) for name, value in pairs)


def _shown(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
