"""Opens all connections, and makes dead connections noticed soon, by TCP keep-alive and time limits."""

import socket
import ssl
from asyncio import CancelledError, Transport
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg

from service.adapters.postgres.server.address import Host, ServerAddress, read
from service.adapters.postgres.server.address_tls import SYSTEM

CONNECT_TIMEOUT_S = 5.0  # for each host, unless the address sets another
DEAD_AFTER_S = 10.0  # without an answer a connection is dead after this time
IDLE_IN_TRANSACTION_S = 60.0

# Probes after five idle seconds, three times; unacknowledged data also gives up after ten seconds.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": round(DEAD_AFTER_S * 1000)}


class WatchedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection with TCP keep-alive, so that a dead one is noticed."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        _watch(transport.get_extra_info("socket"))


class HotConnection(WatchedConnection):
    """A connection for short statements. A statement that times out or is cancelled closes the connection, since
    cancelling it at the server would mean to wait for a silent server once more."""

    __slots__ = ()

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        with self._dropped_when_unfinished():
            return await super().execute(*arguments, **options)

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        with self._dropped_when_unfinished():
            return await super().fetch(*arguments, **options)

    async def fetchrow(self, *arguments: Any, **options: Any) -> Any:
        with self._dropped_when_unfinished():
            return await super().fetchrow(*arguments, **options)

    async def fetchval(self, *arguments: Any, **options: Any) -> Any:
        with self._dropped_when_unfinished():
            return await super().fetchval(*arguments, **options)

    @contextmanager
    def _dropped_when_unfinished(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, CancelledError):
            self.terminate()
            raise


async def connect(url: str, *, server_settings: Mapping[str, str] | None = None, **options: Any) -> asyncpg.Connection:
    """Connect to the first host of the address that answers and has the wanted session attributes. The address
    overrides `server_settings` and `options`. Raises an OSError that names each host and its fault."""
    address = read(url)
    settings = {name: value for name, value in (server_settings or {}).items() if name not in address.set_by_options}
    asked = {**options, **_identity(address), "server_settings": {**settings, **address.server_settings}}
    failures: list[Exception] = []
    for host in address.hosts:
        try:
            return await _connect(host, address, asked)
        except (OSError, asyncpg.CannotConnectNowError) as error:
            failures.append(error)
    raise failures[0] if len(failures) == 1 else ConnectionError("; ".join(map(str, failures))) from failures[-1]


async def _connect(host: Host, address: ServerAddress, asked: Mapping[str, Any]) -> asyncpg.Connection:
    timeout = address.connect_timeout or asked.get("timeout") or CONNECT_TIMEOUT_S
    try:
        connection = await asyncpg.connect(**{**asked, "host": host.name, "port": host.port, "timeout": timeout})
    except TimeoutError as error:
        raise TimeoutError(f"{host} did not answer within {timeout:g} s") from error
    except (OSError, UnicodeError) as error:
        raise ConnectionError(f"{host}: {getattr(error, 'strerror', None) or error}") from error
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise ConnectionError(f"{host} is not {address.target_session_attrs}") from error
    _keep_alive(connection._transport.get_extra_info("socket"), address)  # noqa: SLF001  # no public way to it
    return connection


def _identity(address: ServerAddress) -> dict[str, Any]:
    """All parameters explicitly, since asyncpg reads missing ones from the environment."""
    tls = {"sslnegotiation": "postgres", **address.tls}
    if address.tls.get("sslrootcert") == SYSTEM:
        trusted = {"ssl": _trusting_the_system(address.tls), "direct_tls": tls["sslnegotiation"] == "direct"}
        tls = {}
    else:
        trusted = {}
    return {
        **trusted,
        "dsn": f"postgresql:///?{urlencode(tls, quote_via=quote)}" if tls else None,
        "user": address.user,
        "password": address.password,
        "passfile": address.passfile,
        "database": address.database,
        "target_session_attrs": address.target_session_attrs,
        "gsslib": "gssapi",
    }


def _trusting_the_system(tls: Mapping[str, str]) -> ssl.SSLContext:
    """The context for `sslrootcert=system`, which asyncpg would take for a file name."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if "sslcert" in tls:
        context.load_cert_chain(tls["sslcert"], tls.get("sslkey"), lambda: tls.get("sslpassword", ""))
    if "sslcrl" in tls:
        context.load_verify_locations(cafile=tls["sslcrl"])
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    for name, bound in (
        ("ssl_min_protocol_version", "minimum_version"),
        ("ssl_max_protocol_version", "maximum_version"),
    ):
        if name in tls:
            setattr(context, bound, ssl.TLSVersion[tls[name].replace(".", "_")])
    return context


def limits(*, statement: float, pooled: bool = False) -> dict[str, str]:
    """Server settings: time limits (seconds) of statements and idle transactions, and the end of orphaned statements.

    With PgBouncer (`pooled`) they cannot be set by a connection and have to be set for the role.
    """
    if pooled:
        return {"application_name": "relevo"}
    return {
        "application_name": "relevo",
        "statement_timeout": f"{statement * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S * 1000:.0f}",
        "client_connection_check_interval": "2s",
    }


def _watch(sock: socket.socket) -> None:
    if _is_networked(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _configure(sock, _KEEPALIVE)


def _keep_alive(sock: socket.socket, address: ServerAddress) -> None:
    """Set keep-alive as the address says; 0 means the system's default, as in libpq."""
    if not _is_networked(sock):
        return
    if address.kept_alive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _configure(sock, {name: value for name, value in address.kept_alive.items() if value})
    if not address.keepalives:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)


def _is_networked(sock: socket.socket) -> bool:
    return sock.family in {socket.AF_INET, socket.AF_INET6}


def _configure(sock: socket.socket, wanted: Mapping[str, int]) -> None:
    for name, value in wanted.items():
        if hasattr(socket, name):  # not every system has all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
