"""Makes the HTTP call to a receiver. Whatever the receiver does, the result is an outcome, not an exception."""

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
from service.domain.destinations import MAX_CACHED_URL_CHARACTERS, HttpDestination, Parcel, address
from service.domain.headers import Pairs, kept
from service.domain.outcomes import ErrorType, Outcome

CACHED_URLS = 4_096


class HttpSender:
    """Sends with the process's client; `timeout` (seconds) bounds everything from connecting to the last byte."""

    def __init__(self, client: httpx.AsyncClient, *, timeout: float, egress: Egress) -> None:
        self._client = client
        self._timeout = timeout
        self._egress = egress
        self._target = lru_cache(maxsize=CACHED_URLS)(self._split_credentials)
        self._defaults = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"Relevo/{version('relevo')}",
        }

    async def send(self, destination: HttpDestination, parcel: Parcel) -> Outcome:
        """POST the parcel once. Header names keep their spelling; at most 20,000 bytes of an answer's body are read.

        Once a status has arrived, it decides: an error after it is stored beside it.
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
        target, authorization = (
            self._target(url) if len(url) <= MAX_CACHED_URL_CHARACTERS else self._split_credentials(url)
        )
        headers = self._headers(destination, parcel, authorization)
        # The body is a stream, so that httpx does not compute headers: the transport sets Host and Content-Length.
        deadline = asyncio.get_running_loop().time() + self._timeout
        request = httpx.Request("POST", target, stream=httpx.ByteStream(parcel.body), extensions={DEADLINE: deadline})
        request.read()
        request.headers = _AsSpelled(headers)
        return request

    def _headers(self, destination: HttpDestination, parcel: Parcel, authorization: str | None) -> dict[str, str]:
        """All headers: signatures override the endpoint's own headers, and those override our defaults."""
        asked = {**destination.headers, **parcel.headers}
        if parcel.content_type is not None:
            asked = {"Content-Type": parcel.content_type, **asked}
        given = {name.lower() for name in asked}
        headers = {name: value for name, value in self._defaults.items() if name.lower() not in given} | asked
        if authorization and "authorization" not in given:
            headers["Authorization"] = authorization
        return headers

    def _split_credentials(self, url: str) -> tuple[httpx.URL, str | None]:
        """The URL without user and password, and the `Authorization` value made of them. Raises EgressRefused."""
        target = httpx.URL(url)
        # Not `host`, which decodes to Unicode and fails for some valid DNS names.
        if not self._egress.permits_host(target.raw_host.decode("ascii")):
            raise EgressRefused
        if not target.userinfo:
            return target, None
        return target.copy_with(username=None, password=None), _basic(target)


class _AsSpelled(httpx.Headers):
    """Headers that keep their spelling for the transport; httpx would show them in lower case."""

    def __init__(self, spelled: dict[str, str]) -> None:
        super().__init__()
        self._spelled = spelled

    def __len__(self) -> int:
        return len(self._spelled)

    def items(self) -> ItemsView[str, str]:
        return self._spelled.items()


async def _read(response: httpx.Response) -> tuple[bytes, ErrorType | None]:
    """The first 20,000 bytes or a little more of the body, not decompressed, and the error that cut it short."""
    body, broken = bytearray(), None
    try:
        # Not `aiter_raw`, which costs a tenth of the whole call for counting and closing.
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            body += chunk
            if len(body) >= outcomes.MAX_BODY_BYTES:
                break
    except outcomes.POSSIBLE as error:
        broken, _ = outcomes.explain(error)
    finally:
        # Closes the connection if bytes are unread, else returns it to the pool.
        await response.aclose()
    return bytes(body), broken


def _basic(url: httpx.URL) -> str:
    return "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - started)
