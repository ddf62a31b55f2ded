"""The limits of a connection: how slow a caller may be, and how much it may send beside its bodies."""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable
from dataclasses import dataclass

from service.domain.limits import MAX_BODY_BYTES

# Of a WebSocket: the size of a client's message, and when it is asked whether it is there, and has to have answered.
MAX_MESSAGE_BYTES = 4096
PING_INTERVAL_S = PONG_TIMEOUT_S = 20.0
# Of HTTP: what is parsed at once, and how many requests may wait for their turn before nothing more is parsed. A piece
# has room for some 150 of the shortest.
PIECE_BYTES = 4096
MOST_WAITING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The limits of one connection.

    `head`: seconds that a head may take, from its first byte (or from the connection) to its last.
    `silence`: seconds that a caller may send nothing within a body.
    `unread`, `unread_bytes`: in so many seconds a caller must read at least so many bytes of a waiting response.
    `parting`, `parting_bytes`: seconds and bytes for which a caller may go on sending after a refusal.
    `drained_bytes`: bytes of a body that a caller may go on sending after its answer. Many read it only then.
    `leaving`: seconds that an idle connection has for one more request, once the process is told to leave.
    `head_bytes`: size of a head.
    `beside_a_body`: bytes beside a body (chunk sizes, extensions, trailers), in a row, and granted once in all.
    `beside_each_byte`: bytes beside a body for each byte of it, on top of that.
    """

    head: float = 10.0
    silence: float = 30.0
    unread: float = 30.0
    unread_bytes: int = 16 * 1024
    parting: float = 2.0
    parting_bytes: int = 512 * 1024
    drained_bytes: int = 4 * MAX_BODY_BYTES
    leaving: float = 1.0
    head_bytes: int = 64 * 1024
    beside_a_body: int = 64 * 1024
    beside_each_byte: int = 16


class UnreadAnswer:
    """Watches the write buffer of a connection, and gives the connection up when the caller reads next to nothing."""

    def __init__(
        self,
        transport: Transport,
        *,
        loop: AbstractEventLoop,
        patience: Patience,
        give_up: Callable[[], None] | None = None,
    ) -> None:
        """Without `give_up` the connection is aborted."""
        self._transport = transport
        self._give_up = transport.abort if give_up is None else give_up
        self._loop = loop
        self._patience = patience
        self._timer: TimerHandle | None = None
        self._left = 0

    def watch(self) -> None:
        """Start the timer, unless it runs already: bytes are waiting to be read."""
        if self._timer is None:
            self._left = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(self._patience.unread, self._check_progress)

    def forget(self) -> None:
        """Stop the timer: most was read."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_progress(self) -> None:
        self._timer = None
        left = self._transport.get_write_buffer_size()
        if left > max(0, self._left - self._patience.unread_bytes):
            self._give_up()
        elif left:
            self.watch()
