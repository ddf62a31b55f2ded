"""Followers of the live tail over a WebSocket: programs with a client of their own, and callers who write frames."""

import asyncio
import json
import os
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import pytest
from httpx import AsyncClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.adapters.machine.clock import new_id
from service.adapters.postgres.queue.attempt_news import NEWS
from service.adapters.postgres.server.database import Database
from service.api.protocol.patience import Patience
from service.api.protocol.sockets import SocketProtocol
from service.api.routes.sockets import BEARER_SUBPROTOCOL, SUBPROTOCOL
from service.domain import ids
from service.domain.deliveries import Status
from tests.api.raw_callers import Caller
from tests.support.patience import patient

WITHIN = patient(10)
PATH = "/api/v1/app/u/attempt/tail/ws"


class PatientSocket(SocketProtocol):
    """A client whom the machine keeps waiting is not hung up on."""

    patience: ClassVar[Patience] = Patience(unread=patient(30), parting=2)


def token_of(api: AsyncClient) -> str:
    return api.headers["authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def following(
    api: AsyncClient, *, token: str | None = None, app: str = "u", query: str = "", bare: bool = False, **options: Any
) -> AsyncIterator[ClientConnection]:
    """A program that follows, by the token beside the subprotocol; a `bare` one brings no token."""
    offered = [SUBPROTOCOL] if bare else [SUBPROTOCOL, f"{BEARER_SUBPROTOCOL}{token or token_of(api)}"]
    url = f"ws://127.0.0.1:{api.base_url.port}/api/v1/app/{app}/attempt/tail/ws{query}"
    async with connect(url, subprotocols=offered, proxy=None, open_timeout=WITHIN, **options) as program:  # type: ignore[arg-type]  # plain names
        yield program


async def heard(program: ClientConnection) -> tuple[str, dict[str, Any]]:
    async with asyncio.timeout(WITHIN):
        message = json.loads(await program.recv())
    assert message.keys() == {"type", "data"}
    return message["type"], message["data"]


async def closed(program: ClientConnection) -> int | None:
    """The code with which the server closes, after whatever it has to say."""
    async with asyncio.timeout(WITHIN):
        with suppress(ConnectionClosed):
            while True:
                await program.recv()
    return program.close_code


async def refusal(api: AsyncClient, **how: Any) -> tuple[int, dict[str, Any]]:
    """The HTTP answer to an offer that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with following(api, **how):
            pass
    answer = refused.value.response
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, json.loads(answer.body or b"{}")


async def an_attempt(
    database: Database,
    app_id: str,
    *,
    event_type: str = "t",
    status: Status = Status.SUCCESS,
    url: str = "https://receiver.example/",
) -> str:
    """An attempt that another process has made, and tells of; its id."""
    attempt_id = new_id(ids.ATTEMPT)
    await database.pool.execute(
        "INSERT INTO attempt (id, org_id, app_id, message_id, endpoint_id, event_type, url, status, response,"
        " response_status_code, duration_ms, trigger, number)"
        " VALUES ($1, '', $2, 'msg_1', 'ep_1', $3, $4, $5, 'said', 204, 12, 0, 1)",
        attempt_id,
        app_id,
        event_type,
        url,
        status,
    )
    await database.pool.execute("SELECT pg_notify($1, $2)", NEWS, f"{app_id} {attempt_id}")
    return attempt_id


async def raw_follower(api: AsyncClient, *, token: str | None = None, received: int | None = None) -> Caller:
    """A caller past the handshake, who writes and reads frames; the machine keeps `received` bytes for it."""
    client = socket.socket()
    if received is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", api.base_url.port))
    caller = Caller(*await asyncio.open_connection(sock=client, limit=2**16 if received is None else received))
    bearer = f"authorization: Bearer {token_of(api)}\r\n" if token is None else ""
    await caller.send(offer(PATH, bearer))
    assert (await caller.head_only()).startswith(b"HTTP/1.1 101 ")
    return caller


def offer(path: str, more: str = "", *, method: str = "GET") -> bytes:
    """A WebSocket's offer, as bytes."""
    key = b64encode(os.urandom(16)).decode()
    return (
        f"{method} {path} HTTP/1.1\r\nhost: relevo.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n{more}\r\n"
    ).encode()


def frame(opcode: int, content: bytes = b"", *, final: bool = True) -> bytes:
    """A client's frame of less than 126 bytes, masked by zeros."""
    return bytes([0x80 * final | opcode, 0x80 | len(content), 0, 0, 0, 0]) + content
