"""Inserts batches into a table of a customer's PostgreSQL: one row a message, one transaction a batch.

The table's columns are id (its primary key), app_id, event_type, payload and created_at. A row that is there already
is left as it is, so that a repeated batch adds nothing.
"""

import asyncio
import json
import ssl
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from service.adapters.destinations.conversation import Unreadable, conversation, unreadable
from service.adapters.destinations.kept import KeptConnections
from service.adapters.destinations.network import Dialer, DialingLoop, tls
from service.adapters.destinations.results import NotNow, Told
from service.adapters.destinations.scram import SignIn
from service.domain.batches import Batch
from service.domain.outcomes import NO_ANSWER, ErrorType
from service.domain.sinks import PostgresSink, SinkKind

DEFAULT_PORT = 5432
_INSERT = (
    "INSERT INTO {table} (id, app_id, event_type, payload, created_at) VALUES ($1, $2, $3, $4, $5) "
    "ON CONFLICT (id) DO NOTHING"
)
_NO_TLS = "rejected SSL upgrade"
_WITHOUT_TLS = {"disable", "allow"}
_NOT_VERIFIED = {"allow", "prefer", "require"}

# The SQLSTATEs that say nothing about what was sent: going away, out of something, in conflict, locked, read-only.
_FOR_NOW = ("08", "57P", "53", "40", "55P03", "25006")
_SAID = (asyncpg.PostgresError, asyncpg.InterfaceError)
# Of a connection that is open, the last one is what asyncpg says when its end comes at an odd moment.
_ERRORS = (*_SAID, asyncpg.InternalClientError)


class PostgresSender(KeptConnections[PostgresSink, asyncpg.Connection]):
    """A batch is inserted whole or not at all."""

    kind = SinkKind.POSTGRES

    def __init__(self, dialer: Dialer, *, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._dialer = dialer

    async def _open(self, sink: PostgresSink) -> asyncpg.Connection:
        mode, options = _options(sink)
        context = None if mode in _WITHOUT_TLS else _context(sink, mode)
        try:
            with conversation(*_SAID):
                return await _connected(mode, {**options, "loop": DialingLoop(self._dialer, watch=SignIn)}, context)
        except _ERRORS as error:
            raise _told(error) from None

    async def _publish(
        self,
        connection: asyncpg.Connection,
        sink: PostgresSink,
        batch: Batch,
        *,
        deadline: float,  # noqa: ARG002  # the caller cuts it off
    ) -> None:
        insert, rows = _INSERT.format(table=quoted(sink.table_name)), _rows(batch)
        try:
            with conversation(*_ERRORS):
                async with connection.transaction():
                    await connection.executemany(insert, rows)
        except _ERRORS as error:
            raise _told(error) from None

    async def _end(self, connection: asyncpg.Connection) -> None:
        connection.terminate()

    def _usable(self, connection: asyncpg.Connection) -> bool:
        return not connection.is_closed()


def quoted(table_name: str) -> str:
    """The table's name as SQL: each part between dots in double quotes. Told when a part is empty or has quotes."""
    parts = table_name.split(".")
    if not all(parts) or '"' in table_name or "\0" in table_name:
        raise Told(ErrorType.REFUSED, "The table's name has an empty part, or quotes.")
    return ".".join(f'"{part}"' for part in parts)


def _rows(batch: Batch) -> list[tuple[Any, ...]]:
    return [
        (
            str(message.id),
            str(batch.app_id),
            message.event_type,
            _text(message.payload, message.content_type),
            message.created_at,
        )
        for message in batch.messages
    ]


def _text(payload: bytes, content_type: str | None) -> str:
    """As submitted; a payload that is no JSON is a string of JSON, so that a column of JSON takes it."""
    text = payload.decode(errors="replace")
    return text if content_type is None else json.dumps(text)


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # the client has no types
    """Closed, and not only forgotten, when what the server says of itself cannot be read."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: asyncio.Transport, *others: Any) -> None:
        try:
            super().__init__(protocol, transport, *others)
        except Exception:
            self._aborted = True  # type: ignore[misc]  # its types leave out the slot
            transport.abort()
            raise


async def _connected(mode: str, options: dict[str, Any], context: ssl.SSLContext | None) -> asyncpg.Connection:
    if context is None:
        return await asyncpg.connect(**options, ssl=False)
    try:
        return await asyncpg.connect(**options, ssl=context)
    except ConnectionError as error:
        if _NO_TLS not in str(error):
            raise
        if mode == "prefer":
            return await asyncpg.connect(**options, ssl=False)
        raise Told(ErrorType.TLS, "The server has no TLS, which sslmode demands.") from None


def _options(sink: PostgresSink) -> tuple[str, dict[str, Any]]:
    """sslmode, and everything that asyncpg would otherwise take from this process's environment and files."""
    url = urlsplit(sink.url)
    if not (url.hostname and url.username):
        raise Told(ErrorType.REFUSED, "The URL names no host, or no user.")
    mode = parse_qs(url.query).get("sslmode", ["prefer"])[-1]
    user = unquote(url.username)
    return mode, {
        "host": url.hostname,
        "port": url.port or DEFAULT_PORT,
        "user": user,
        "password": sink.password or "",
        "database": unquote(url.path.lstrip("/")) or user,
        "passfile": "/dev/null",
        "target_session_attrs": "any",
        "connection_class": _Connection,
        "statement_cache_size": 0,  # a pooler may stand before the server
        "server_settings": {"application_name": "relevo"},
    }


def _context(sink: PostgresSink, mode: str) -> ssl.SSLContext:
    """As libpq: with an authority `require` verifies it, and only `verify-full` compares names."""
    context = tls(sink.ssl_root_cert)
    context.check_hostname = mode == "verify-full"
    if mode in _NOT_VERIFIED and sink.ssl_root_cert is None:
        context.verify_mode = ssl.CERT_NONE
    return context


def _told(error: Exception) -> Exception:
    """What the tenant is told of an error: PostgreSQL's sentence, without its detail, which may hold values."""
    if isinstance(error.__cause__, Unreadable):
        return error.__cause__
    if isinstance(error, asyncpg.PostgresError):
        return _answered(error.sqlstate or "", str(error.args[0] if error.args else error))
    if isinstance(error, asyncpg.ProtocolError):
        return unreadable(error)
    return Told(ErrorType.RESET, NO_ANSWER[ErrorType.RESET])


def _answered(state: str, sentence: str) -> Exception:
    if state.startswith(_FOR_NOW):
        return NotNow(f"PostgreSQL takes nothing for now: {sentence}")
    if state.startswith("28"):
        return Told(ErrorType.REFUSED, "PostgreSQL refused the user and password.")
    return Told(ErrorType.REFUSED, f"PostgreSQL refused: {sentence}")
