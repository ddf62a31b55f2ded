"""Turns the result of an HTTP call (a status, or the error that prevented one) into the domain's outcome."""

import codecs
import errno
import math
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

import aiohttp
import httpx

from service.adapters.destinations.http.answers import Malformed
from service.adapters.destinations.http.egress import EgressRefused
from service.domain.headers import Pairs, kept, shown_name
from service.domain.outcomes import (
    NO_ANSWER,
    ErrorType,
    Exchange,
    Failed,
    Outcome,
    RefusedForGood,
    RefusedForNow,
    Taken,
)

MAX_BODY_BYTES = 20_000
MAX_WAIT = timedelta(days=365)
MAX_RETRY_AFTER_CHARACTERS = 128
UNREADABLE = "\N{REPLACEMENT CHARACTER}"

CACHED_NAMES = 1_024

_named = lru_cache(maxsize=CACHED_NAMES)(shown_name)
_SECONDS = re.compile(r"[ \t]*([0-9]{1,12}(?:\.[0-9]{1,12})?)[ \t]*")
_MAY_HAVE_GONE_OUT = frozenset({ErrorType.TIMEOUT, ErrorType.RESET, ErrorType.MALFORMED})

Failure = tuple[ErrorType, str]

EGRESS: Failure = (ErrorType.EGRESS, NO_ANSWER[ErrorType.EGRESS])
TIMEOUT: Failure = (ErrorType.TIMEOUT, NO_ANSWER[ErrorType.TIMEOUT])
MALFORMED: Failure = (ErrorType.MALFORMED, NO_ANSWER[ErrorType.MALFORMED])
DNS: Failure = (ErrorType.DNS, NO_ANSWER[ErrorType.DNS])
BAD_HOST: Failure = (ErrorType.DNS, "The URL's host is not a valid name.")
TLS: Failure = (ErrorType.TLS, NO_ANSWER[ErrorType.TLS])
CONNECT: Failure = (ErrorType.CONNECT, NO_ANSWER[ErrorType.CONNECT])
CONNECT_BY_ERRNO = {
    errno.ECONNREFUSED: "The receiver refused the connection.",
    errno.ENETUNREACH: "The receiver's network cannot be reached.",
    errno.EHOSTUNREACH: "The receiver's host cannot be reached.",
}
RESET: Failure = (ErrorType.RESET, "The receiver closed the connection before its answer was complete.")

# The errors of a call that the receiver, its name or its URL may cause.
POSSIBLE = (aiohttp.ClientError, Malformed, httpx.InvalidURL, httpx.UnsupportedProtocol, OSError, UnicodeError)

# This machine ran out of a resource, which is no fault of the receiver.
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


def answered(
    status: int,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    sent: Pairs,
    duration: timedelta,
    broken: ErrorType | None = None,
) -> Outcome:
    """The outcome of an answer. Only 2xx is a success; redirects are not followed. `broken` is an error after the
    status."""
    exchange = Exchange(
        duration=duration,
        status=status,
        text=_text(body),
        broken=broken,
        sent=sent,
        received=kept(headers, named=_named),
    )
    if 200 <= status < 300:
        return Taken(exchange=exchange)
    match status:
        case 410:
            return RefusedForGood(exchange=exchange)
        case 429 | 503:
            return RefusedForNow(exchange=exchange, wait=_wait(headers))
        case 502 | 504:  # from a proxy whose server is down; its `Retry-After` is ignored
            return RefusedForNow(exchange=exchange)
        case _:
            return Failed(exchange=exchange, error_type=ErrorType.FAULT if status >= 500 else ErrorType.REFUSED)


def unanswered(failure: Failure, *, sent: Pairs, duration: timedelta) -> Failed:
    """The outcome of a call without a status. `sent` is stored only if the request may have been sent."""
    error_type, message = failure
    told = sent if error_type in _MAY_HAVE_GONE_OUT else ()
    return Failed(exchange=Exchange(duration=duration, text=message, sent=told), error_type=error_type)


def _wait(headers: Sequence[tuple[str, str]]) -> timedelta | None:
    said = next((value for name, value in headers if name == "retry-after"), None)
    return read_retry_after(said, at=datetime.now(UTC))


def read_retry_after(value: str | None, *, at: datetime) -> timedelta | None:
    """The wait that a `Retry-After` asks for (RFC 9110, 10.2.3), counted from `at`; fractions of a second are rounded
    up.

    None when the header is missing or invalid.
    """
    if value is None or len(value) > MAX_RETRY_AFTER_CHARACTERS:
        return None
    if seconds := _SECONDS.fullmatch(value):
        return min(timedelta(seconds=math.ceil(float(seconds[1]))), MAX_WAIT)
    try:
        date = parsedate_to_datetime(value)
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - at
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        # A receiver may write anything, and the parser documents no errors.
        return None
    return min(max(wait, timedelta()), MAX_WAIT)


def _text(body: bytes) -> str:
    """The first 20,000 bytes as text. NUL, which PostgreSQL cannot store, and invalid UTF-8 are replaced."""
    if len(body) <= MAX_BODY_BYTES and body.isascii() and 0 not in body:
        return body.decode("ascii")
    start = codecs.getincrementaldecoder("utf-8")("replace").decode(body[:MAX_BODY_BYTES], len(body) <= MAX_BODY_BYTES)
    text = start.replace("\0", UNREADABLE)
    # A replacement character is longer than the byte it replaces, so the text may have to be cut again.
    return text.encode()[:MAX_BODY_BYTES].decode(errors="ignore")


def explain(error: BaseException) -> Failure:
    """The error type and a sentence for the tenant, from the most specific of the error's causes.

    The causes are searched because httpx maps different failures to the same error. Raises the error itself when the
    fault is this machine's.
    """
    causes = list(_causes(error))
    if any(getattr(cause, "errno", None) in _OURS for cause in causes):
        raise error
    for kind, failure in _BY_CAUSE:
        for cause in causes:
            if isinstance(cause, kind):
                return failure(cause) if callable(failure) else failure
    return MALFORMED


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _tls(error: BaseException) -> Failure:
    certificate = getattr(error, "certificate_error", error)
    reason = getattr(certificate, "verify_message", "")
    return (ErrorType.TLS, f"The receiver's certificate is not valid: {reason}.") if reason else TLS


def _connect(error: BaseException) -> Failure:
    message = CONNECT_BY_ERRNO.get(getattr(error, "errno", None) or 0)
    return (ErrorType.CONNECT, message) if message else CONNECT


# The first row that matches any cause wins, so specific errors come before general ones.
_BY_CAUSE = (
    (EgressRefused, EGRESS),
    (aiohttp.ClientConnectorCertificateError, _tls),
    (ssl.SSLError, _tls),
    (aiohttp.ClientSSLError, TLS),
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), DNS),
    (TimeoutError, TIMEOUT),
    (aiohttp.ClientConnectorError, _connect),
    (Malformed, MALFORMED),
    ((aiohttp.InvalidURL, httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError), BAD_HOST),
    ((aiohttp.ClientConnectionError, OSError), RESET),
)
