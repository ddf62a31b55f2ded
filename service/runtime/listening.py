"""Binds the process's ports before anything else starts, and configures the server that answers on them."""

import asyncio
import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

import uvicorn
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp

from service.api.protocol.connections import CallerProtocol
from service.api.protocol.patience import MAX_MESSAGE_BYTES, PING_INTERVAL_S, PONG_TIMEOUT_S
from service.observability.refusals import RefusedRequests
from service.settings import Settings, SettingsError

KEEP_ALIVE_S = 5
BACKLOG = 2048  # connections that wait to be accepted: uvicorn's own number, which it sets again


class PortUnusable(Exception):
    """The port is in use or not permitted; the text names the variable that sets another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What makes this process one of several: its number, from 1, the URL of the parent, which answers for all to
    operators, and the descriptor of the pipe that takes the last state of its metrics."""

    number: int
    spokesman: str
    last_words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Bound sockets that do not listen yet: connections are refused until the server is ready."""

    api: tuple[socket.socket, ...] = ()
    ops: tuple[socket.socket, ...] = ()
    member: Member | None = None


@contextmanager
def listeners(settings: Settings, *, api: bool) -> Iterator[Listeners]:
    """The API's sockets if `api`, and those of the ops port if it is set. SettingsError for a host that is not this
    machine's, PortUnusable for a port that is in use."""
    server = settings.server
    if api and server.ops_port and server.ops_port == server.port:
        raise SettingsError("RELEVO_OPS_PORT: it equals RELEVO_PORT; set one of them to another port. Example: 9464")
    with ExitStack() as stack:
        yield Listeners(
            api=_bound(stack, server.host, server.port, "RELEVO_PORT") if api else (),
            ops=() if server.ops_port is None else _bound(stack, server.host, server.ops_port, "RELEVO_OPS_PORT"),
        )


def listen(sockets: Sequence[socket.socket], variable: str) -> None:
    """Listen on the bound sockets. PortUnusable, with the variable that sets their port, when another process that had
    bound it too was first: of that uvloop would say nothing, and accept nothing either."""
    for each in sockets:
        try:
            each.listen(BACKLOG)
        except OSError as error:
            host, port, *_ = each.getsockname()
            raise _no_port(host, port, variable, error) from None


def listening(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    grace: int | None = None,
    protocol: type[CallerProtocol] = CallerProtocol,
    websockets: type[asyncio.Protocol] | None = None,
    refused: RefusedRequests | None = None,
) -> uvicorn.Config:
    """The server's configuration. At shutdown requests get `grace` seconds to finish; `refused` is called for what the
    protocol refuses before it is a request. `websockets` speaks on the paths of the application's WebSockets."""
    told: dict[str, object] = {} if refused is None else {"refused": refused}
    if paths := tuple(route.path_regex for route in getattr(app, "routes", ()) if isinstance(route, WebSocketRoute)):
        told["websocket_paths"] = paths
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        http=type(protocol.__name__, (protocol,), told),
        ws=websockets or "none",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=PING_INTERVAL_S,
        ws_ping_timeout=PONG_TIMEOUT_S,
        # Each connection would hold two windows, and a small message could unpack to a large one.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace,
        lifespan="on",
        workers=1,  # or it would read WEB_CONCURRENCY, which may be anything
        # Once a body had to be waited for, a connection goes on in the context of that request: what comes next on it
        # would be logged with the ids, and be traced as a part, of a request that may be somebody else's.
        reset_contextvars=True,
    )


def _bound(stack: ExitStack, host: str, port: int, variable: str) -> tuple[socket.socket, ...]:
    """Sockets for all addresses of the host that are this machine's, which may have one family only."""
    found, bound = _found(host, port), []
    for family, address in found:
        with suppress(SettingsError):
            bound.append(stack.enter_context(_bind(family, address, host, variable, alone=len(found) == 1)))
    if not bound:
        raise _no_host(host)
    return tuple(bound)


def _found(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise _no_host(host) from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind(family: socket.AddressFamily, address: Any, host: str, variable: str, *, alone: bool) -> socket.socket:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError:  # a machine without this family
        raise _no_host(host) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not (alone and _has_both(address[0]))))
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            raise _no_port(host, address[1], variable, error) from None
        raise _no_host(host) from None
    return listener


def _has_both(address: str) -> bool:
    """Whether this IPv6 address is for IPv4 as well: all of this machine's, and IPv4 ones in its form."""
    numbers = IPv6Address(address)
    return numbers.is_unspecified or numbers.ipv4_mapped is not None


def _no_port(host: str, port: int, variable: str, error: OSError) -> PortUnusable:
    why = (
        "is in use by another process"
        if error.errno == errno.EADDRINUSE
        else "needs rights that this user does not have"
    )
    return PortUnusable(f"Port {port} of {host} {why}: set {variable} to another one.")


def _no_host(host: str) -> SettingsError:
    return SettingsError(f"RELEVO_HOST: {host!r} is not an address of this machine. Example: 0.0.0.0")
