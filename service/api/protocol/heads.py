"""Checks the head of a request (request line and headers) before its body is read. Pure.

Every rule is against request smuggling: without it a server and a proxy in front could read different requests from the
same bytes (RFC 9112). The parser enforces most rules; these are the rest.
"""

import re
from collections.abc import Iterable, Sequence

import httptools

from service.api.protocol.refusals import MAX_FIELDS, Fields, Refusal, too_large

VERSIONS = ("1.1", "1.0")

_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?").fullmatch
_FRAMING = (b"content-length", b"transfer-encoding")


def refusal_of(version: str, method: bytes, target: bytes, fields: Fields, *, most_bytes: int) -> Refusal | None:
    """Why the head is refused, or None for one that is unambiguous. Field names are in lower case."""
    size, hosts, codings = len(target), [], []
    for name, value in fields:
        size += len(name) + len(value) + 4
        if name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
    if size > most_bytes or len(fields) > MAX_FIELDS:
        return too_large(most_bytes)
    if version not in VERSIONS:
        return Refusal(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if method == b"CONNECT":
        return Refusal(501, "This is no proxy.")
    return _of_target(target) or _of_hosts(version, hosts) or (_of_codings(version, codings) if codings else None)


def has_body(fields: Fields) -> bool:
    """Whether a body follows this head, even an empty one."""
    return any(name in _FRAMING for name, _ in fields)


def body_length(fields: Fields) -> int:
    """The bytes of the body that follows this head, which was checked; 0 for one in chunks, whose head says nothing."""
    return next((int(value) for name, value in fields if name == b"content-length"), 0)


def without_offer(request_line: bytes, fields: Fields) -> bytes:
    """The head without its `Upgrade` header, which a server may ignore (RFC 9110 7.8)."""
    lines = (name + b": " + value for name, value in fields if name != b"upgrade")
    return b"\r\n".join((request_line, *lines, b"", b""))


def _of_target(target: bytes) -> Refusal | None:
    if target.startswith(b"/") or target == b"*":
        return None
    # The parser accepts URLs that the server cannot parse.
    try:
        path = httptools.parse_url(target).path
    except httptools.HttpParserInvalidURLError:
        path = None
    return None if path else Refusal(400, "The target of a request is a path, or a URL with one.")


def _of_hosts(version: str, hosts: Sequence[bytes]) -> Refusal | None:
    if len(hosts) > 1:
        return Refusal(400, "A request has one Host header; this one has several.")
    if not hosts:
        return None if version == "1.0" else Refusal(400, "A request of HTTP/1.1 has a Host header.")
    return None if _HOST(hosts[0]) else Refusal(400, "The Host header is not the name of a host.")


def _of_codings(version: str, fields: Iterable[bytes]) -> Refusal | None:
    codings = [coding.strip(b" \t").lower() for field in fields for coding in field.split(b",")]
    if version == "1.0":
        return Refusal(400, "HTTP/1.0 knows no Transfer-Encoding.")
    if codings == [b"chunked"]:
        return None
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1 or b"" in codings:
        return Refusal(400, "The only Transfer-Encoding is chunked, once.")
    return Refusal(501, "The only Transfer-Encoding that is read here is chunked.")
