"""Requests that are sent before those in front of them are answered: how many wait, and what becomes of them."""

import asyncio
import re
from typing import ClassVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api.protocol.connections import CallerProtocol
from service.api.protocol.patience import MOST_WAITING, PIECE_BYTES
from tests.api.raw_callers import IN_TIME, Echo, calling
from tests.support.serving import serving
from tests.support.waiting import eventually

REQUEST = b"GET /%d HTTP/1.1\r\nhost: relevo.test\r\n\r\n"
SHORTEST = len(REQUEST) - 1
MANY = 10_000


class Counting(CallerProtocol):
    """Notes how many requests waited on a connection, and the connections."""

    waited: ClassVar[list[int]] = []
    made: ClassVar[list[CallerProtocol]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self.made.append(self)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.waited.append(len(self.pipeline))


class Patient:
    """An application that waits for its callers to go, and tells who has gone."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gone = asyncio.Event()
        self.app = Starlette(routes=[Route("/{name}", self._wait)])

    async def _wait(self, request: Request) -> Response:
        self.begun.append(request.path_params["name"])
        await request.body()
        assert (await request.receive())["type"] == "http.disconnect"
        self.gone.set()
        return Response()


async def test_few_of_countless_requests_wait_at_a_time_and_all_are_answered_in_their_order() -> None:
    Counting.waited.clear()
    echo = Echo()
    last = b"GET /last HTTP/1.1\r\nhost: relevo.test\r\nconnection: close\r\n\r\n"

    async with serving(echo.app, protocol=Counting) as port, calling(port) as caller:
        sending = asyncio.create_task(caller.send(*(REQUEST % number for number in range(MANY)), last))
        answers = await caller.everything()
        await sending

    assert len(re.findall(rb"HTTP/1\.1 200 ", answers)) == MANY + 1
    assert echo.lines == [*(f"GET /{number} " for number in range(MANY)), "GET /last "]
    assert max(Counting.waited) < MOST_WAITING + PIECE_BYTES // SHORTEST + 1


async def test_who_hangs_up_is_missed_by_the_request_that_is_answered_and_those_behind_it_are_forgotten() -> None:
    Counting.made.clear()
    patient = Patient()

    async with serving(patient.app, protocol=Counting) as port:
        async with calling(port) as caller:
            await caller.send(b"".join(REQUEST % number for number in range(MOST_WAITING)))
            await eventually(
                lambda: [len(each.pipeline) for each in Counting.made] == [MOST_WAITING - 1], within=IN_TIME
            )
        async with asyncio.timeout(IN_TIME):
            await patient.gone.wait()

    assert patient.begun == ["0"]
    assert [len(connection.pipeline) for connection in Counting.made] == [0]
