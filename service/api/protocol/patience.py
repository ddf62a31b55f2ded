"""What is borne from callers: how slow they may be, and how much they may send that is no body."""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What is borne.

    Seconds that a head may take from its first byte (or from connecting) to its last, and that a caller may be silent
    within a body. Seconds in which a caller has to take so many bytes of an answer. Seconds and bytes for which a
    caller may go on sending after a refusal. Bytes of a head. Of what comes beside a body (the lengths of its chunks,
    their extensions, trailers): bytes in a row, which are also granted once, and bytes for each byte of the body.
    """

    head: float = 10.0
    silence: float = 30.0
    unread: float = 30.0
    unread_bytes: int = 16 * 1024
    parting: float = 2.0
    parting_bytes: int = 512 * 1024
    head_bytes: int = 64 * 1024
    beside_a_body: int = 64 * 1024
    beside_each_byte: int = 16


class UnreadAnswer:
    """What is written on a connection, and not yet taken by the caller. Who takes next to nothing is hung up on."""

    def __init__(self, transport: Transport, *, loop: AbstractEventLoop, patience: Patience) -> None:
        self._transport = transport
        self._loop = loop
        self._patience = patience
        self._timer: TimerHandle | None = None
        self._left = 0

    def watch(self) -> None:
        """More than nothing is left: look again in a while, unless that is going to happen anyway."""
        if self._timer is None:
            self._left = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(self._patience.unread, self._look)

    def forget(self) -> None:
        """Most of it was taken."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        left = self._transport.get_write_buffer_size()
        if left > max(0, self._left - self._patience.unread_bytes):
            self._transport.abort()
        elif left:
            self.watch()
