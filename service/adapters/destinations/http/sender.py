"""Makes the call to a receiver. Whatever the receiver does, the outcome is a value."""

import asyncio
import base64
import time
from collections.abc import ItemsView
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import cast

import httpx

from service.adapters.destinations.http import outcomes
from service.adapters.destinations.http.egress import Egress, EgressRefused, tell_operator
from service.adapters.destinations.http.transport import DEADLINE
from service.domain.destinations import LONGEST_REMEMBERED, HttpDestination, Parcel, address
from service.domain.headers import Pairs, kept
from service.domain.outcomes import ErrorType, Outcome

REMEMBERED_URLS = 4_096


class HttpSender:
    """Sends over the process's client, with one deadline of `timeout` seconds from connecting to the last byte."""

    def __init__(self, client: httpx.AsyncClient, *, timeout: float, egress: Egress) -> None:
        self._client = client
        self._timeout = timeout
        self._egress = egress
        self._target = lru_cache(maxsize=REMEMBERED_URLS)(self._vet)
        self._defaults = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"Relevo/{version('relevo')}",
        }

    async def send(self, destination: HttpDestination, parcel: Parcel) -> Outcome:
        """POST the parcel once. Header names keep their spelling; of an answer's body at most 20,000 bytes are read.

        Once there is a status, it decides: whatever goes wrong after it is noted beside it.
        """
        started = time.perf_counter()
        sent: Pairs = ()
        try:
            request = self._request(destination, parcel)
            sent = kept(request.headers.items())
            response = await self._client.send(request, stream=True)
        except outcomes.POSSIBLE as error:
            failure = outcomes.explain(error)
            if failure is outcomes.EGRESS:
                tell_operator(address(destination.url)["host"])
            return outcomes.unanswered(failure, sent=sent, duration=_since(started))
        body, broken = await _read(response)
        return outcomes.answered(
            response.status_code, response.headers.raw, body, sent=sent, duration=_since(started), broken=broken
        )

    def _request(self, destination: HttpDestination, parcel: Parcel) -> httpx.Request:
        url = destination.url
        target, authorization = self._target(url) if len(url) <= LONGEST_REMEMBERED else self._vet(url)
        headers = self._headers(destination, parcel, authorization)
        # Given as a stream, the body costs no guesses at headers: Host and Content-Length come from the transport.
        deadline = asyncio.get_running_loop().time() + self._timeout
        request = httpx.Request("POST", target, stream=httpx.ByteStream(parcel.body), extensions={DEADLINE: deadline})
        request.read()
        request.headers = _AsSpelled(headers)
        return request

    def _headers(self, destination: HttpDestination, parcel: Parcel, authorization: str | None) -> dict[str, str]:
        """What vouches for the parcel wins over the endpoint's own headers, and those win over ours."""
        asked = {**destination.headers, **parcel.headers}
        if parcel.content_type is not None:
            asked = {"Content-Type": parcel.content_type, **asked}
        given = {name.lower() for name in asked}
        headers = {name: value for name, value in self._defaults.items() if name.lower() not in given} | asked
        if authorization and "authorization" not in given:
            headers["Authorization"] = authorization
        return headers

    def _vet(self, url: str) -> tuple[httpx.URL, str | None]:
        """The URL without its user and password, and the header that they are sent in."""
        target = httpx.URL(url)
        # Not `host`, which is Unicode and does not know all of the names that DNS does.
        if not self._egress.permits_host(target.raw_host.decode("ascii")):
            raise EgressRefused
        if not target.userinfo:
            return target, None
        return target.copy_with(username=None, password=None), _basic(target)


class _AsSpelled(httpx.Headers):
    """Headers that the transport sees as they were spelled; httpx would show it lower case."""

    def __init__(self, spelled: dict[str, str]) -> None:
        super().__init__()
        self._spelled = spelled

    def __len__(self) -> int:
        return len(self._spelled)

    def items(self) -> ItemsView[str, str]:
        return self._spelled.items()


async def _read(response: httpx.Response) -> tuple[bytes, ErrorType | None]:
    """At most 20,000 bytes and what came with them, as sent (nothing is unpacked), and what cut them short."""
    body, broken = bytearray(), None
    try:
        # `aiter_raw` costs a tenth of the whole call; what it adds, counting and closing, is done here or not needed.
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            body += chunk
            if len(body) >= outcomes.LONGEST_BODY:
                break
    except outcomes.POSSIBLE as error:
        broken, _ = outcomes.explain(error)
    finally:
        # A connection with bytes left unread is closed by this, any other is kept for the next call.
        await response.aclose()
    return bytes(body), broken


def _basic(url: httpx.URL) -> str:
    return "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - started)
