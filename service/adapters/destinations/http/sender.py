"""Makes the HTTP call to a receiver. Whatever the receiver does, the result is an outcome, not an exception."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import httpx

from service.adapters.destinations.http import outcomes
from service.adapters.destinations.http.client import connections_of
from service.adapters.destinations.http.connections import Call, Connections
from service.adapters.destinations.http.egress import Egress, tell_operator
from service.adapters.destinations.http.requests import Request, Requests
from service.domain.destinations import HttpDestination, Parcel, address
from service.domain.headers import Pairs
from service.domain.outcomes import ErrorType, Outcome


class HttpSender:
    """Sends over the connections of the process's client, without httpx between.

    `timeout` (seconds) bounds everything from connecting to the last byte.
    """

    def __init__(self, client: httpx.AsyncClient, *, timeout: float, egress: Egress) -> None:
        self._connections = connections_of(client)
        self._timeout = timeout
        self._requests = Requests(egress)

    async def send(self, destination: HttpDestination, parcel: Parcel) -> Outcome:
        """POST the parcel once. Header names keep their spelling."""
        post = partial(self._requests.post, destination, parcel)
        return await exchanged(self._connections, post, url=destination.url, timeout=self._timeout)


async def exchanged(
    connections: Connections,
    write: Callable[[], Request],
    *,
    url: str,
    timeout: float,  # noqa: ASYNC109 - it is kept below the pool, where it leaves the status that has arrived
) -> Outcome:
    """Send what `write` returns once; at most 20,000 bytes of the answer's body are read.

    Once a status has arrived, it decides: an error after it is stored beside it.
    """
    started = time.perf_counter()
    sent: Pairs = ()
    try:
        request = write()
        sent = request.sent
        call = await connections.ask(request.target, request.written, timeout=timeout)
    except outcomes.POSSIBLE as error:
        failure = outcomes.explain(error)
        if failure is outcomes.EGRESS:
            tell_operator(address(url)["host"])
        return outcomes.unanswered(failure, sent=sent, duration=_since(started))
    body, broken = await _read(call)
    return outcomes.answered(
        call.head.status, call.head.headers, body, sent=sent, duration=_since(started), broken=broken
    )


async def _read(call: Call) -> tuple[bytes, ErrorType | None]:
    """The first 20,000 bytes or a little more of the body, not decompressed, and the error that cut it short."""
    body, broken = bytearray(), None
    try:
        while len(body) < outcomes.MAX_BODY_BYTES and (piece := await call.more()):
            body += piece
    except outcomes.POSSIBLE as error:
        broken, _ = outcomes.explain(error)
    finally:
        # Closes the connection if bytes are unread, else keeps it.
        call.close()
    return bytes(body), broken


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - started)
