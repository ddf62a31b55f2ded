"""Connections to RabbitMQ, for destinations and sources: to permitted addresses only, and without a URI's options."""

import asyncio
import ssl
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiormq
from aiormq.abc import AbstractConnection
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPError

from service.adapters.destinations.conversation import conversation
from service.adapters.destinations.listening import streams
from service.adapters.destinations.network import Dialer, tls

HEARTBEAT_S = 30
_READ_AHEAD_BYTES = 65_536  # twice that waits to be read, as asyncio has it


async def connect(uri: str, *, dialer: Dialer, authorities: str | None = None) -> AbstractConnection:
    """A connection, encrypted if the URI's scheme says so. Raises what aiormq raises, and OSError."""
    connection = aiormq.Connection(_plain(uri), transport_factory=_Dialed(dialer, authorities))
    with conversation(AMQPError):
        await connection.connect({"connection_name": "relevo"})
    return connection


class _Dialed(TransportFactory):
    """Opens aiormq's connections to permitted addresses."""

    def __init__(self, dialer: Dialer, authorities: str | None) -> None:
        self._dialer = dialer
        self._authorities = authorities

    async def create(self, url: Any, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, encrypted if the scheme says so."""
        context: ssl.SSLContext | None = tls(self._authorities) if url.scheme == "amqps" else None
        opened = await self._dialer.dial(url.host, url.port)
        return await streams(opened, limit=_READ_AHEAD_BYTES, most=self._dialer.most, context=context, host=url.host)


def _plain(uri: str) -> str:
    """The URI without options, which could name files of this machine."""
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, f"heartbeat={HEARTBEAT_S}", ""))
