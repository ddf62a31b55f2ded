"""What a failed call means. httpx's own mapping loses the difference between failures, so causes are looked through."""

import errno
import socket
import ssl
from collections.abc import Iterator

import aiohttp
import httpx

from service.adapters.destinations.http.answers import Malformed
from service.adapters.destinations.http.egress import EgressRefused
from service.domain.deliveries import NO_ANSWER, ErrorType

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

# What a call may raise on account of the receiver, its name or its URL.
POSSIBLE = (aiohttp.ClientError, httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)

# This machine ran out of something, for which no receiver is to be blamed.
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


def explain(error: BaseException) -> Failure:
    """The kind of failure and a sentence for the tenant, from the most telling of the error's causes.

    Raises the error itself when the fault is this machine's.
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


# The first row that fits any of the causes wins, so the narrow come before the wide.
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
