"""Makes the call to a receiver. Whatever the receiver does, the outcome is a value."""

import asyncio
import base64
import codecs
import time
from collections.abc import AsyncGenerator, ItemsView
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import cast

import httpx

from service.adapters.http import failures
from service.adapters.http.egress import Egress, EgressRefused
from service.adapters.http.retry_after import read_retry_after
from service.domain.deliveries import Answered, Failed, Outcome

LONGEST_BODY = 20_000
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class HttpSender:
    """Sends over the process's client, with one deadline of `timeout` seconds from connecting to the last byte."""

    def __init__(self, client: httpx.AsyncClient, *, timeout: float, egress: Egress) -> None:
        self._client = client
        self._timeout = timeout
        self._egress = egress
        self._defaults = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"Relevo/{version('relevo')}",
        }

    async def send(self, *, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """POST `body` once. Header names keep their spelling; of an answer's body at most 20,000 bytes are read."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._exchange(self._request(url, headers, body))
        except failures.POSSIBLE as error:
            return _failed(failures.explain(error), _since(started))
        if not 100 <= answer.status <= 599:
            return _failed(failures.MALFORMED, _since(started))
        return _answered(answer, _since(started))

    def _request(self, url: str, headers: dict[str, str], body: bytes) -> httpx.Request:
        target = httpx.URL(url)
        if not self._egress.permits_host(target.host):
            raise EgressRefused
        given = {name.lower() for name in headers}
        sent = {name: value for name, value in self._defaults.items() if name.lower() not in given} | headers
        if target.userinfo:
            if "authorization" not in given:
                sent["Authorization"] = _basic(target)
            target = target.copy_with(username=None, password=None)
        request = httpx.Request("POST", target, headers=httpx.Headers(sent, encoding="utf-8"), content=body)
        request.headers = _AsSpelled(request.headers)
        return request

    async def _exchange(self, request: httpx.Request) -> "_Answer":
        response = await self._client.send(request, stream=True)
        try:
            body = await _read(response)
        finally:
            # A connection with bytes left unread is closed by this, any other is kept for the next call.
            await response.aclose()
        return _Answer(status=response.status_code, retry_after=response.headers.get("retry-after"), body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    retry_after: str | None
    body: bytes


class _AsSpelled(httpx.Headers):
    """Headers that the transport sees as they were spelled; httpx would show it lower case."""

    def items(self) -> ItemsView[str, str]:
        return {name.decode(): value.decode() for name, value in self.raw}.items()


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) >= LONGEST_BODY:
                break
    return bytes(body)


def _basic(url: httpx.URL) -> str:
    return "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()


def _since(started: float) -> timedelta:
    return timedelta(seconds=time.perf_counter() - started)


def _failed(failure: failures.Failure, duration: timedelta) -> Failed:
    error_type, message = failure
    return Failed(error_type=error_type, message=message, duration=duration)


def _answered(answer: _Answer, duration: timedelta) -> Answered:
    retry_after = read_retry_after(answer.retry_after, at=datetime.now(UTC))
    return Answered(status=answer.status, body=_text(answer.body), retry_after=retry_after, duration=duration)


def _text(body: bytes) -> str:
    """The first 20,000 bytes as text; NUL, which PostgreSQL cannot keep, and what is not UTF-8 are replaced."""
    start = codecs.getincrementaldecoder("utf-8")("replace").decode(body[:LONGEST_BODY], len(body) <= LONGEST_BODY)
    text = start.replace("\0", UNREADABLE)
    # A replacement is longer than the byte it stands for, so the text may have to be cut a second time.
    return text.encode()[:LONGEST_BODY].decode(errors="ignore")
