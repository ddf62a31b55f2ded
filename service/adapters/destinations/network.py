"""How senders that are no HTTP reach a network: connections to permitted addresses only, and what failed about one."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aiohappyeyeballs import start_connection

from service.adapters.destinations.conversation import Unreadable
from service.adapters.destinations.http.egress import (
    HAPPY_EYEBALLS_DELAY_S,
    Egress,
    EgressRefused,
    Found,
    GuardedResolver,
    tell_operator,
)
from service.adapters.destinations.listening import MOST_SAID_BYTES, Voice, Watch, connected, encrypted
from service.adapters.destinations.results import Told
from service.domain.outcomes import NO_ANSWER, ErrorType

Failure = tuple[ErrorType, str]

# The errors of a call that the receiver, its name or its address may cause.
POSSIBLE = (OSError, EOFError)

_UNREACHED = {
    errno.ECONNREFUSED: "The receiver refused the connection.",
    errno.ENETUNREACH: "The receiver's network cannot be reached.",
    errno.EHOSTUNREACH: "The receiver's host cannot be reached.",
}
# This machine ran out of a resource, which is no fault of the receiver.
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


class Unreached(OSError):
    """No connection could be opened to any of the host's addresses."""


class Dialer:
    """Opens TCP connections. The address that is called is the one that was checked, whatever DNS says later.

    Over each, a server may say `most` bytes before we say something again.
    """

    def __init__(self, egress: Egress, resolver: GuardedResolver, *, most: int = MOST_SAID_BYTES) -> None:
        self.most = most
        self._egress = egress
        self._resolver = resolver

    async def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket, to whichever of the host's permitted addresses answers first (RFC 8305).

        Raises EgressRefused, gaierror or Unreached.
        """
        targets = await self._targets(host, port)
        try:
            return await start_connection(
                targets, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S, socket_factory=self._open_socket
            )
        except EgressRefused:
            raise
        except (OSError, RuntimeError) as error:
            raise Unreached(*error.args) from error

    def _open_socket(self, target: Found) -> socket.socket:
        opened = self._egress.open_socket(target)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    async def _targets(self, host: str, port: int) -> list[Found]:
        try:
            found = await self._resolver.resolve(host, port)
        except EgressRefused:
            tell_operator(host)
            raise
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, "The host is no name.") from error
        return [(one["family"], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (one["host"], port)) for one in found]


class DialingLoop:
    """The running event loop, for clients that let theirs be chosen: its connections are opened by a dialer.

    What the server says on each passes a `watch` of its own first.
    """

    def __init__(self, dialer: Dialer, *, watch: Callable[[], Watch] | None = None) -> None:
        self._dialer = dialer
        self._watch = watch
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(
        self, factory: Any, host: str, port: int, *, ssl: ssl.SSLContext | None = None, **options: Any
    ) -> Any:
        """As the loop's own. A certificate has to be the name's, not the address's."""
        opened = await self._dialer.dial(host, port)
        most = self._dialer.most
        return await connected(factory, opened, most=most, context=ssl, host=host, watch=self._watch, **options)

    async def start_tls(
        self, voice: Voice, protocol: Any, context: ssl.SSLContext, *, server_hostname: str | None, **options: Any
    ) -> Voice:
        """As the loop's own."""
        return await encrypted(voice, protocol, context, host=server_hostname, **options)


def tls(authorities: str | None) -> ssl.SSLContext:
    """Verifies certificates and their names, by these authorities (PEM) or by this machine's. Told when the text holds
    none."""
    try:
        return ssl.create_default_context(cadata=authorities)
    except ssl.SSLError:
        raise Told(ErrorType.TLS, "The certificates of the authorities cannot be read: they have to be PEM.") from None


def explain(error: BaseException) -> Failure | None:
    """The error type and a sentence for the tenant; None for what is no failure of a network. Raises the error itself
    when the fault is this machine's."""
    if getattr(error, "errno", None) in _OURS:
        raise error
    match error:
        case Unreadable():
            return ErrorType.MALFORMED, error.text
        case EgressRefused():
            kind = ErrorType.EGRESS
        case ssl.SSLCertVerificationError():
            return ErrorType.TLS, f"The receiver's certificate is not valid: {error.verify_message}."
        case ssl.SSLError():
            kind = ErrorType.TLS
        case socket.gaierror():
            kind = ErrorType.DNS
        case TimeoutError():
            kind = ErrorType.TIMEOUT
        case Unreached() | ConnectionRefusedError():
            return ErrorType.CONNECT, _UNREACHED.get(error.errno or 0, NO_ANSWER[ErrorType.CONNECT])
        case OSError() | EOFError():
            kind = ErrorType.RESET
        case _:
            return None
    return kind, NO_ANSWER[kind]
