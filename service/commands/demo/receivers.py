"""The demo's receivers: one is healthy, one fails its first two calls, one answers 410 Gone; with brokers there is one
that takes everything in order."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

HEALTHY, FLAKY, GONE, ORDERED = "healthy", "flaky", "gone", "ordered"
FLAKY_FAILURES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One call to a receiver. `after` is in seconds since the first call to any of them."""

    receiver: str
    message_id: str
    status: int
    verified: bool
    after: float


class Receivers:
    """Answers for each receiver, verifies every signature, and calls `notice` for each call."""

    def __init__(self, notice: Callable[[Arrival], None]) -> None:
        self.arrivals: list[Arrival] = []
        self._notice = notice
        self._secrets: dict[str, str] = {}
        self._calls: Counter[str] = Counter()
        self._began: float | None = None
        self._changed = asyncio.Condition()

    def routes(self) -> list[web.RouteDef]:
        """The receivers' route."""
        return [web.post("/receivers/{name}", self._receive)]

    def expect(self, name: str, secret: str) -> None:
        """Set the secret that calls to the receiver `name` are signed with."""
        self._secrets[name] = secret

    def accepted_by(self, name: str) -> set[str]:
        """The ids of the messages that the receiver answered with 200, correctly signed."""
        return {a.message_id for a in self.arrivals if a.receiver == name and a.status == 200 and a.verified}

    def told_gone(self) -> bool:
        """Whether the receiver that answers 410 was called."""
        return any(arrival.receiver == GONE for arrival in self.arrivals)

    async def wait_until(self, complete: Callable[[], bool], *, within: float) -> bool:
        """Wait until `complete()` is true, at most `within` seconds; whether it became true."""
        try:
            async with asyncio.timeout(within), self._changed:
                await self._changed.wait_for(complete)
        except TimeoutError:
            return False
        return True

    async def _receive(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self._calls[name] += 1
        arrival = Arrival(
            receiver=name,
            message_id=request.headers.get("webhook-id", ""),
            status=_status(name, self._calls[name]),
            verified=self._verify(name, await request.read(), request),
            after=self._clock(),
        )
        self.arrivals.append(arrival)
        self._notice(arrival)
        async with self._changed:
            self._changed.notify_all()
        return web.Response(status=arrival.status)

    def _verify(self, name: str, body: bytes, request: web.Request) -> bool:
        try:
            Webhook(self._secrets[name]).verify(body, {key.lower(): value for key, value in request.headers.items()})
        except (WebhookVerificationError, KeyError):
            return False
        return True

    def _clock(self) -> float:
        now = time.perf_counter()
        self._began = self._began or now
        return now - self._began


def _status(name: str, call: int) -> int:
    if name == GONE:
        return 410
    return 500 if name == FLAKY and call <= FLAKY_FAILURES else 200
