"""What a connection brings, parsed in pieces: as long as the rest of the process can wait, and as much as is wanted."""

from asyncio import Handle, Transport, get_running_loop
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import perf_counter

from uvicorn.protocols.http.flow_control import FlowControl

from service.api.protocol.patience import PIECE_BYTES

# Seconds for which one connection is parsed before everybody else has a turn. A flood of tiny frames, of which one read
# brings tens of thousands, needs many turns; an ordinary body needs one.
TURN_S = 0.005


class PacedFlow(FlowControl):
    """uvicorn's flow control that holds back what is not parsed yet, and reads no more meanwhile."""

    def __init__(
        self,
        transport: Transport,
        *,
        parse: Callable[[bytes], None],
        is_full: Callable[[], bool] | None = None,
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        """`parse` is given pieces of at most `piece_bytes`. While the connection `is_full`, nothing resumes reading."""
        super().__init__(transport)
        self._loop = get_running_loop()
        self._parse = parse
        self._piece_bytes = piece_bytes
        self._is_full = is_full or _never
        self._held: deque[bytes] = deque()
        self._next: Handle | None = None

    @property
    def holds_more(self) -> bool:
        """Whether something came behind the piece that is parsed."""
        return bool(self._held)

    def take(self, data: bytes, *, whole: bool = False) -> None:
        """Parse the data: now, unless something before it is held back or it is much, and not a `whole` piece."""
        if (whole or len(data) <= self._piece_bytes) and not self._held and not self.read_paused:
            self._parse(data)
        else:
            self._held.extend(data[at : at + self._piece_bytes] for at in range(0, len(data), self._piece_bytes))
            self._parse_some()

    def resume_reading(self) -> None:
        """Go on with what is held back, and then with reading; not yet while the connection is full."""
        if not self.read_paused or self._is_full():
            return
        self.read_paused = False
        if self._held:
            self._parse_soon()
        else:
            self._transport.resume_reading()

    def end(self) -> None:
        """Forget everything: the connection is lost."""
        self._held.clear()
        if self._next is not None:
            self._next.cancel()
        # They lead back to the protocol, which is freed at once if nothing does.
        self._parse, self._is_full = _ignore, _never

    def _parse_some(self) -> None:
        self._next = None
        until = perf_counter() + TURN_S
        while self._held and not self.read_paused and not self._transport.is_closing():
            self._parse(self._held.popleft())
            if perf_counter() >= until:
                break
        if self._transport.is_closing():
            self._held.clear()  # nothing is executed that came behind the request after which the connection closes
        elif self._held:
            self._transport.pause_reading()
            if not self.read_paused:
                self._parse_soon()
        elif not self.read_paused:
            self._transport.resume_reading()

    def _parse_soon(self) -> None:
        if self._next is None:
            # The context here may be that of a request, which what comes next is not about.
            self._next = self._loop.call_soon(self._parse_some, context=Context())


def _ignore(_: bytes) -> None:
    """Parse nothing."""


def _never() -> bool:
    return False
