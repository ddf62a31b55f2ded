"""WebSockets that read nothing, say too much or are too many, and what looks like an offer of one and is none."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from service.adapters.postgres.queue.attempt_news import NOTIFICATION_IDS
from service.api.app import create_app
from service.api.protocol.patience import MAX_MESSAGE_BYTES, Patience
from service.api.protocol.sockets import MAX_UNREAD_BYTES, SocketProtocol
from service.api.services import Services
from service.api.sockets import SocketPlaces
from service.domain.errors import Busy
from service.domain.ids import OrgId
from tests.api.conftest import handed
from tests.api.followers import (
    PATH,
    WITHIN,
    PatientSocket,
    closed,
    following,
    frame,
    heard,
    offer,
    raw_follower,
    refusal,
    token_of,
)
from tests.api.raw_callers import calling
from tests.api.served import served
from tests.api.test_streams import app_id_of
from tests.support.factories import ORG
from tests.support.patience import patient
from tests.support.serving import serving
from tests.support.waiting import eventually
from tests.system.test_tail import attempts_elsewhere

GONE = b"\x88\x02\x03\xe9"  # a close frame with the code 1001
MOST_HELD = 64 * 1024 + 8 * 1024  # a full write buffer, and a message
TRY_LATER = b"\x88\x02\x03\xf5"  # and with 1013

pytestmark = pytest.mark.timeout(180)


class HastySocket(SocketProtocol):
    """Whoever reads nothing for half a second is too slow, and may then still read what was written. Notes how much
    waited in the process after each message."""

    patience: ClassVar[Patience] = Patience(unread=0.5, parting=patient(10))
    held: ClassVar[list[int]] = []

    async def send(self, message: Any) -> None:
        await super().send(message)
        self.held.append(self.transport.get_write_buffer_size())


class AskingSocket(SocketProtocol):
    """Asks every tenth of a second whether the client is there, and waits as long for its answer."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.ping_interval = self.ping_timeout = 0.1


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with served(app, websockets=PatientSocket) as client:
        yield client


async def test_a_server_that_stops_says_so_and_is_not_held_up_by_who_does_not_answer(app: FastAPI) -> None:
    async with served(app, websockets=PatientSocket) as api:
        (await api.post("/app", json={"name": "an application", "uid": "u"})).raise_for_status()
        caller = await raw_follower(api)
        waiting = await raw_follower(api, token="")
        began = asyncio.get_running_loop().time()
    took = asyncio.get_running_loop().time() - began

    assert (await caller.everything()).endswith(GONE)
    assert (await waiting.everything()).endswith(GONE)
    assert took < patient(1)
    caller.writer.close()
    waiting.writer.close()


@pytest.mark.usefixtures("application")
async def test_a_message_of_the_client_that_is_too_large_closes_the_connection(api: AsyncClient) -> None:
    async with following(api) as program:
        await heard(program)
        await program.send("x" * MAX_MESSAGE_BYTES)
        await program.send("x" * (MAX_MESSAGE_BYTES + 1))
        code = await closed(program)

    assert code == 1009


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("token", [None, ""], ids=["with a token", "before the token"])
async def test_text_that_is_no_text_closes_the_connection_and_is_no_error_of_ours(
    api: AsyncClient, caplog: pytest.LogCaptureFixture, token: str | None
) -> None:
    caller = await raw_follower(api, token=token)

    await caller.send(frame(1, b"\xff\xfe"))
    said = await caller.everything()

    assert said.endswith(b"\x88\x02\x03\xef"), "the code 1007"
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
    caller.writer.close()


@pytest.mark.usefixtures("application")
async def test_a_message_of_the_client_in_countless_empty_pieces_closes_the_connection(api: AsyncClient) -> None:
    caller = await raw_follower(api)

    await caller.send(frame(1, final=False), *[frame(0, final=False)] * 200)
    said = await caller.everything()

    assert said.endswith(b"\x88\x02\x03\xf0"), "the code 1008"
    caller.writer.close()


@pytest.mark.usefixtures("application")
async def test_a_client_that_pings_and_reads_nothing_is_hung_up_on(api: AsyncClient) -> None:
    caller = await raw_follower(api, received=4096)
    sent, pings = 0, frame(9, b"x" * 125) * 500

    with suppress(ConnectionError):
        async with asyncio.timeout(WITHIN):
            while sent < 200 * MAX_UNREAD_BYTES:
                await caller.send(pings)
                sent += len(pings)

    assert sent < 200 * MAX_UNREAD_BYTES
    caller.writer.close()


async def test_a_client_that_does_not_read_is_closed_and_no_more_is_kept_for_it_than_fits_a_buffer(
    app: FastAPI, database: str
) -> None:
    HastySocket.held.clear()
    async with served(app, websockets=HastySocket) as api:
        (await api.post("/app", json={"name": "an application", "uid": "u"})).raise_for_status()
        app_id = await app_id_of(api)
        caller = await raw_follower(api, received=4096)
        async with asyncio.timeout(WITHIN):
            # Until what the machine itself keeps for the client is full as well.
            while app.state.socket_places.taken_by(ORG):
                await attempts_elsewhere(database, app_id, count=NOTIFICATION_IDS)
        read = await caller.everything()
        caller.writer.close()

    assert read.endswith(TRY_LATER)
    assert max(HastySocket.held) < MOST_HELD


async def test_a_client_that_does_not_answer_a_ping_is_closed(app: FastAPI) -> None:
    async with served(app, websockets=AskingSocket) as api:
        (await api.post("/app", json={"name": "an application", "uid": "u"})).raise_for_status()
        caller = await raw_follower(api)
        said = await caller.everything()
        await eventually(lambda: not app.state.socket_places.taken_by(ORG), within=WITHIN)
        caller.writer.close()

    assert b"\x88\x18\x03\xf3keepalive ping timeout" in said, "the code 1011"


async def test_who_speaks_before_the_offer_is_answered_is_hung_up_on() -> None:
    asked, enough = asyncio.Event(), asyncio.Event()

    async def silent(_socket: WebSocket) -> None:
        asked.set()
        await enough.wait()

    app = Starlette(routes=[WebSocketRoute("/silent", silent)])
    async with serving(app, websockets=SocketProtocol) as port, calling(port) as caller:
        await caller.send(offer("/silent"))
        await asked.wait()
        await caller.send(frame(9, b"x"))
        answer = await caller.everything()
        enough.set()

    assert answer == b""


def test_there_are_so_many_places_and_no_more() -> None:
    places = SocketPlaces(3, of_organisation=2, without_token=1)
    one, other = OrgId("org_1"), OrgId("org_2")

    with places.taken(one), places.taken(None):
        with pytest.raises(Busy), places.taken(None):
            pass
        with places.taken(one), pytest.raises(Busy), places.taken(other):
            pass
    with places.taken(one), places.taken(one):
        with pytest.raises(Busy), places.taken(one):
            pass
        with places.taken(other):
            taken = places.taken_by(one)

    assert (taken, places.taken_by(one), places.taken_by(other)) == (2, 0, 0)


async def test_more_tails_than_an_organisation_may_have_are_refused_for_now(services: Services) -> None:
    app = create_app(partial(handed, services))
    app.state.socket_places = SocketPlaces(of_organisation=1)

    async with served(app, websockets=PatientSocket) as api:
        (await api.post("/app", json={"name": "an application", "uid": "u"})).raise_for_status()
        async with following(api) as first:
            await heard(first)
            refused = await refusal(api)
            async with following(api, bare=True) as late:
                await late.send(json.dumps({"token": token_of(api)}))
                code = await closed(late)
        async with following(api) as again:
            ready = await heard(again)

    assert (refused[0], refused[1]["code"]) == (429, "overloaded")
    assert code == 1013
    assert ready == ("ready", {})


SMUGGLED = b"POST /api/v1/app HTTP/1.1\r\nhost: relevo.test\r\ncontent-length: 2\r\n\r\n{}"
ORDINARY = {
    "no offer": (f"GET {PATH} HTTP/1.1\r\nhost: relevo.test\r\n\r\n".encode(), 426),
    "another protocol": (offer(PATH).replace(b"upgrade: websocket", b"upgrade: h2c"), 426),
    "another method": (offer(PATH, method="POST"), 405),
    "another path": (offer("/api/v1/health"), 204),
    "a path below": (offer(f"{PATH}/more"), 404),
    "an application with a slash": (offer(PATH.replace("/u/", "/u%2Fv/")), 404),
    "HTTP/1.0": (offer(PATH).replace(b"HTTP/1.1", b"HTTP/1.0"), 426),
    "a body": (offer(PATH, f"content-length: {len(SMUGGLED)}\r\n") + SMUGGLED, 426),
    "chunks": (offer(PATH, "transfer-encoding: chunked\r\n") + b"2\r\n{}\r\n0\r\n\r\n", 426),
    "something behind it": (offer(PATH) + SMUGGLED, 400),
    "two hosts": (offer(PATH, "host: another.test\r\n"), 400),
    "a line that is too long": (offer(PATH, f"x-filler: {'x' * 9000}\r\n"), 400),
}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("case", ORDINARY)
async def test_what_is_no_offer_of_a_websocket_here_gets_an_ordinary_answer_and_nothing_of_it_is_executed(
    api: AsyncClient, case: str
) -> None:
    sent, status = ORDINARY[case]

    async with calling(api.base_url.port or 0) as caller:
        await caller.send(sent.replace(b"connection: upgrade", b"connection: upgrade, close"))
        answer = await caller.head_only() if case == "no offer" else await caller.everything()

    assert answer.startswith(b"HTTP/1.1 %d " % status), case
    assert answer.count(b"HTTP/1.1 ") == 1
    assert [each["uid"] for each in (await api.get("/app")).json()["data"]] == ["u"]


@pytest.mark.usefixtures("application")
async def test_an_offer_behind_a_request_that_is_not_answered_yet_is_an_ordinary_request(api: AsyncClient) -> None:
    first = f"GET /api/v1/app HTTP/1.1\r\nhost: relevo.test\r\nauthorization: Bearer {token_of(api)}\r\n\r\n".encode()

    async with calling(api.base_url.port or 0) as caller:
        await caller.send(first + offer(PATH).replace(b"connection: upgrade", b"connection: upgrade, close"))
        answers = await caller.everything()

    assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"200", b"426"]


UNACCEPTABLE = {
    "no key": (re.sub(rb"sec-websocket-key: [^\r]+\r\n", b"", offer(PATH)), 400),
    "another version": (offer(PATH).replace(b"version: 13", b"version: 12"), 426),
    "two versions": (offer(PATH, "sec-websocket-version: 13\r\n"), 426),
    "two protocols": (offer(PATH).replace(b"upgrade: websocket", b"upgrade: h2c\r\nupgrade: websocket"), 426),
    "a key that is none": (re.sub(rb"(-key: )[^\r]+", rb"\1" + b"\xff", offer(PATH)), 400),
    "two keys": (offer(PATH, "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
    "a subprotocol that is none": (offer(PATH, "sec-websocket-protocol: relevo.v1, /a-token\r\n"), 400),
}


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("case", UNACCEPTABLE)
async def test_an_offer_that_cannot_be_taken_up_is_refused_as_any_request_is(api: AsyncClient, case: str) -> None:
    sent, status = UNACCEPTABLE[case]

    async with calling(api.base_url.port or 0) as caller:
        await caller.send(sent.replace(b"\r\n", b"\r\nx-request-id: order-17\r\n", 1))
        answer = await caller.everything()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\ncontent-type: application/json\r\n" in head
    assert b"\r\nx-request-id: order-17\r\n" in head.lower()
    assert (b"\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" in head) == (status == 426)
    assert json.loads(body).keys() == {"code", "detail"}
    assert b"a-token" not in body
