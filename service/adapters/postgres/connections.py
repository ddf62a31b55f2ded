"""Connections that find out when nobody is at the other end any more, and do not wait for it to come back."""

import socket
from asyncio import CancelledError, Transport
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

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
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # not every system has all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
