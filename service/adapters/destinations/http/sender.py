"""Makes the call to a receiver. Whatever the receiver does, the outcome is a value."""

import asyncio
import base64
import codecs
import time
from collections.abc import ItemsView
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import cast

import httpx

from service.adapters.destinations.http import failures
from service.adapters.destinations.http.egress import Egress, EgressRefused
from service.adapters.destinations.http.retry_after import read_retry_after
from service.adapters.destinations.http.transport import DEADLINE
from service.adapters.destinations.http.vetting import tell_operator
from service.domain.addresses import LONGEST_REMEMBERED, address
from service.domain.deliveries import Answered, ErrorType, Failed, Outcome
from service.domain.headers import Pairs, kept

LONGEST_BODY = 20_000
REMEMBERED_URLS = 4_096
_MAY_HAVE_GONE_OUT = frozenset({ErrorType.TIMEOUT, ErrorType.RESET, ErrorType.MALFORMED})
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


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

    async def send(self, *, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """POST `body` once. Header names keep their spelling; of an answer's body at most 20,000 bytes are read.

        Once there is a status, it decides: whatever goes wrong after it is noted beside it.
        """
        started = time.perf_counter()
        sent: Pairs = ()
        try:
            request = self._request(url, headers, body)
            sent = kept(request.headers.items())
            response = await self._client.send(request, stream=True)
        except failures.POSSIBLE as error:
            failure = failures.explain(error)
            if failure is failures.EGRESS:
                tell_operator(address(url)["host"])
            return _failed(failure, sent, _since(started))
        text, broken = await _read(response)
        return _answered(response, text, broken, sent, _since(started))

    def _request(self, url: str, headers: dict[str, str], body: bytes) -> httpx.Request:
        target, authorization = self._target(url) if len(url) <= LONGEST_REMEMBERED else self._vet(url)
        given = {name.lower() for name in headers}
        sent = {name: value for name, value in self._defaults.items() if name.lower() not in given} | headers
        if authorization and "authorization" not in given:
            sent["Authorization"] = authorization
        # Given as a stream, the body costs no guesses at headers: Host and Content-Length come from the transport.
        deadline = asyncio.get_running_loop().time() + self._timeout
        request = httpx.Request("POST", target, stream=httpx.ByteStream(body), extensions={DEADLINE: deadline})
        request.read()
        request.headers = _AsSpelled(sent)
        return request

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
            if len(body) >= LONGEST_BODY:
                break
    except failures.POSSIBLE as error:
        broken, _ = failures.explain(error)
    finally:
        # A connection with bytes left unread is closed by this, any other is kept for the next call.
        await response.aclose()
    return bytes(body), broken


def _basic(url: httpx.URL) -> str:
    return "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - started)


def _failed(failure: failures.Failure, sent: Pairs, duration: timedelta) -> Failed:
    error_type, message = failure
    return Failed(
        error_type=error_type, message=message, duration=duration, sent=sent if error_type in _MAY_HAVE_GONE_OUT else ()
    )


def _answered(
    response: httpx.Response, body: bytes, broken: ErrorType | None, sent: Pairs, duration: timedelta
) -> Answered:
    headers = response.headers.raw
    wish = next((value for name, value in headers if name == b"retry-after"), None)
    return Answered(
        status=response.status_code,
        body=_text(body),
        retry_after=None if wish is None else read_retry_after(wish.decode("latin-1"), at=datetime.now(UTC)),
        duration=duration,
        broken=broken,
        headers=kept((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers),
        sent=sent,
    )


def _text(body: bytes) -> str:
    """The first 20,000 bytes as text; NUL, which PostgreSQL cannot keep, and what is not UTF-8 are replaced."""
    start = codecs.getincrementaldecoder("utf-8")("replace").decode(body[:LONGEST_BODY], len(body) <= LONGEST_BODY)
    text = start.replace("\0", UNREADABLE)
    # A replacement is longer than the byte it stands for, so the text may have to be cut a second time.
    return text.encode()[:LONGEST_BODY].decode(errors="ignore")
