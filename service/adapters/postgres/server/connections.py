"""How every connection is opened, and connections that find out when nobody is at the other end any more."""

import socket
import ssl
from asyncio import CancelledError, Transport
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg

from service.adapters.postgres.server.address import SYSTEM, Host, ServerAddress, read

CONNECT_TIMEOUT = 5.0  # seconds for each host, unless the address says otherwise
SILENCE = 10.0  # seconds without an answer after which a connection is not one any more
IDLE_IN_TRANSACTION = 60.0

# An idle connection is asked after five seconds, three times; one with something on its way gives up as late.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": round(SILENCE * 1000)}


class WatchedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection whose death is noticed by the network's own means, where they know."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        _watch(transport.get_extra_info("socket"))


class HotConnection(WatchedConnection):
    """One for short statements. Whichever is not finished, because of its time limit or because nobody waits for it any
    more, takes the connection with it: asking the server to cancel would mean to wait for it once more."""

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
    """The first host of the address that answers and may be written to, as asyncpg has it. What the address says wins
    over `server_settings` and `options`. An OSError tells which host did what."""
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
    patience = address.connect_timeout or asked.get("timeout") or CONNECT_TIMEOUT
    try:
        connection = await asyncpg.connect(**{**asked, "host": host.name, "port": host.port, "timeout": patience})
    except TimeoutError as error:
        raise TimeoutError(f"{host} did not answer within {patience:g} s") from error
    except (OSError, UnicodeError) as error:
        raise ConnectionError(f"{host}: {getattr(error, 'strerror', None) or error}") from error
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise ConnectionError(f"{host} is not {address.target_session_attrs}") from error
    _keep_alive(connection._transport.get_extra_info("socket"), address)  # noqa: SLF001  # asyncpg hands it to nobody
    return connection


def _identity(address: ServerAddress) -> dict[str, Any]:
    """All of it explicitly, since asyncpg asks the environment for what it is not told."""
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
    """`sslrootcert=system`, which asyncpg takes for a file's name."""
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
    """Settings for the server's end: how long a statement may take, and what becomes of it when we are gone.

    PgBouncer lets nobody in who asks for them: its connections are everybody's. There they are for the role to have.
    """
    if pooled:
        return {"application_name": "relevo"}
    return {
        "application_name": "relevo",
        "statement_timeout": f"{statement * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION * 1000:.0f}",
        "client_connection_check_interval": "2s",
    }


def _watch(sock: socket.socket) -> None:
    if _is_networked(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _configure(sock, _KEEPALIVE)


def _keep_alive(sock: socket.socket, address: ServerAddress) -> None:
    """As the address says; 0 is the system's own measure, as for libpq."""
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
