"""HTTP/1.1 by hand, as much as a load generator needs: requests written beforehand, answers read to their last byte."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

STAMP = "@at@" * 5
_DIGITS = len(STAMP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request ready for the wire; where its body has the stamp, the moment it was meant for is written."""

    before: bytes
    after: bytes
    stamped: bool

    def written(self, at_ns: int) -> bytes:
        """The bytes to send."""
        return b"%s%020d%s" % (self.before, at_ns, self.after) if self.stamped else self.before


def parse(text: str) -> Request:
    """The request that `post` or `get` wrote."""
    before, stamp, after = text.encode().partition(STAMP.encode())
    return Request(before=before, after=after, stamped=bool(stamp))


def post(path: str, body: str, *, token: str = "", headers: str = "") -> str:
    """A POST of a JSON document, one line for each of the `headers`."""
    head = f"POST {path} HTTP/1.1\r\nHost: relevo\r\nContent-Type: application/json\r\n"
    return f"{head}{_bearer(token)}{headers}Content-Length: {len(body.encode())}\r\n\r\n{body}"


def get(path: str, *, token: str = "") -> str:
    """A GET."""
    return f"GET {path} HTTP/1.1\r\nHost: relevo\r\n{_bearer(token)}\r\n"


def _bearer(token: str) -> str:
    return f"Authorization: Bearer {token}\r\n" if token else ""


class Connection(asyncio.Protocol):
    """One request at a time over a connection that stays open. `answered` is told when an answer is complete."""

    def __init__(self, answered: "Callable[[Connection, int], None]", lost: "Callable[[Connection], None]") -> None:
        self.meant_for_ns = 0
        self._answered = answered
        self._lost = lost
        self._buffer = b""
        self._length = 0
        self._status = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)

    def send(self, request: Request, at_ns: int) -> None:
        """Send it, meant for the moment `at_ns` of the monotonic clock."""
        assert self._transport is not None
        self.meant_for_ns = at_ns
        self._transport.write(request.written(at_ns))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._length and not self._read_head():
            return
        if len(self._buffer) >= self._length:
            self._buffer, self._length = self._buffer[self._length :], 0
            self._answered(self, self._status)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._status = int(self._buffer[9:12])
        self._length = end + 4 + content_length(self._buffer[: end + 2])
        return True


def content_length(head: bytes) -> int:
    """What the head says of its body's length, 0 when it says nothing."""
    lowered = head.lower()
    start = lowered.find(b"\r\ncontent-length:")
    if start < 0:
        assert b"\r\ntransfer-encoding:" not in lowered
        return 0
    return int(lowered[start + 17 : lowered.index(b"\r\n", start + 17)])


def now_ns() -> int:
    """The monotonic clock, which all processes of a machine share."""
    return time.monotonic_ns()
