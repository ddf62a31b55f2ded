"""What connections bring, parsed in pieces: as long as the rest of the process can wait, and as much as is wanted."""

from asyncio import AbstractEventLoop, Handle, Transport, get_running_loop
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import perf_counter
from typing import ClassVar
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.flow_control import FlowControl

from service.api.protocol.patience import PIECE_BYTES

# Seconds for which connections, all together, are parsed before the loop does anything else. A flood of tiny frames, of
# which one read brings tens of thousands, needs many turns; ordinary requests need one.
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
        self._turns = _Turns.of(get_running_loop())
        self._parse = parse
        self._piece_bytes = piece_bytes
        self._is_full = is_full or _never
        self._held: deque[bytes] = deque()
        self._waits = False

    @property
    def holds_more(self) -> bool:
        """Whether something came behind the piece that is parsed."""
        return bool(self._held)

    def take(self, data: bytes, *, whole: bool = False) -> None:
        """Parse the data: now if it is little or a `whole` piece, or else as far as there is time."""
        if self._held or not (whole or len(data) <= self._piece_bytes):
            self._held.extend(data[at : at + self._piece_bytes] for at in range(0, len(data), self._piece_bytes))
        else:
            self._held.append(data)
        while self._may_parse() and not self._turns.are_over:
            self._parse_piece()
        self._settle()

    def take_turn(self) -> None:
        """Parse a piece."""
        self._waits = False
        if self._may_parse():
            self._parse_piece()
        self._settle()

    def resume_reading(self) -> None:
        """Go on with what is held back, and then with reading; not yet while the connection is full."""
        if not self.read_paused or self._is_full():
            return
        self.read_paused = False
        if self._held:
            self._wait()
        else:
            self._transport.resume_reading()

    def end(self) -> None:
        """Forget everything: the connection is lost."""
        self._held.clear()
        # They lead back to the protocol, which is freed at once if nothing does.
        self._parse, self._is_full = _ignore, _never

    def _may_parse(self) -> bool:
        return bool(self._held) and not self.read_paused and not self._transport.is_closing()

    def _parse_piece(self) -> None:
        began = perf_counter()
        self._parse(self._held.popleft())
        self._turns.took(perf_counter() - began)

    def _settle(self) -> None:
        if self._transport.is_closing():
            self._held.clear()  # nothing is executed that came behind the request after which the connection closes
        elif self._held:
            self._transport.pause_reading()
            if not self.read_paused:
                self._wait()
        elif not self.read_paused:
            self._transport.resume_reading()

    def _wait(self) -> None:
        if not self._waits:
            self._waits = True
            self._turns.wait(self)


class _Turns:
    """The connections of a loop with something to parse. Each parses a piece when its turn comes."""

    _of_loops: ClassVar["WeakKeyDictionary[AbstractEventLoop, _Turns]"] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._waiting: deque[PacedFlow] = deque()
        self._next: Handle | None = None
        self._took = 0.0

    @classmethod
    def of(cls, loop: AbstractEventLoop) -> "_Turns":
        """Those of a loop."""
        return cls._of_loops.setdefault(loop, cls())

    @property
    def are_over(self) -> bool:
        """Whether the loop has to do something else first."""
        return self._took >= TURN_S

    def took(self, seconds: float) -> None:
        """Something was parsed for so long."""
        self._took += seconds
        self._begin_soon()

    def wait(self, flow: PacedFlow) -> None:
        """Give it a turn, after those who wait already."""
        self._waiting.append(flow)
        self._begin_soon()

    def _begin_soon(self) -> None:
        if self._next is None:
            # The context here may be that of a request, which what comes next is not about.
            self._next = get_running_loop().call_soon(self._begin, context=Context())

    def _begin(self) -> None:
        self._next, self._took = None, 0.0
        try:
            while self._waiting and not self.are_over:
                self._waiting.popleft().take_turn()
        finally:
            if self._waiting:
                self._begin_soon()


def _ignore(_: bytes) -> None:
    """Parse nothing."""


def _never() -> bool:
    return False
