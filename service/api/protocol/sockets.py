"""WebSocket connections, with the limits that uvicorn lacks.

uvicorn waits for ever for what it has written to be read, answers pings whether or not the answers are read, parses any
number of frames at once, and logs paths with their query strings.
"""

import logging
from asyncio import TimerHandle
from contextvars import Context
from typing import Any, ClassVar

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from service.api.protocol.pacing import PacedFlow
from service.api.protocol.patience import Patience, UnreadAnswer
from service.api.protocol.refusals import Refusal, answer_to

# The close codes of RFC 6455, and IANA's.
GOING_AWAY, NO_TEXT, POLICY_VIOLATION, NO_ANSWER, TRY_AGAIN_LATER = 1001, 1007, 1008, 1011, 1013
MAX_FRAGMENTS = 64
PIECE_BYTES = 1024  # parsed at once: up to 170 frames, and each may be a message that the application hears
MAX_UNREAD_BYTES = 256 * 1024  # more than one message and the buffer below it: only unread pongs are so many

_UNREADABLE = Refusal(400, "This offer of a WebSocket cannot be read. A line of its head may be too long.")


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol of WebSockets with the limits of `patience`. It takes a connection over with its head."""

    patience: ClassVar[Patience] = Patience()
    flow: PacedFlow

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = self.conn.logger = logging.getLogger("relevo.sockets")
        self.conn.debug = False  # frames and heads would be logged, with tokens in them
        self.close_timeout = self.patience.parting
        self._unread: UnreadAnswer | None = None
        self._parting: TimerHandle | None = None
        self._lost = False

    def connection_made(self, transport: Any) -> None:
        """Watch from now on whether the client reads."""
        super().connection_made(transport)
        self.flow = PacedFlow(transport, parse=self._parse, piece_bytes=PIECE_BYTES)
        self._unread = UnreadAnswer(transport, loop=self.loop, patience=self.patience, give_up=self._close_unread)

    def data_received(self, data: bytes) -> None:
        """Take the head, and then frames; whoever sends any before the head is answered is hung up on."""
        if not self.handshake_initiated:
            self._parse(data)
        elif self.handshake_complete:
            self.flow.take(data)
        else:
            self.transport.abort()

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated:
            self.transport.write(answer_to(_UNREADABLE, ()).written)
            self.transport.close()
        self._see_off()

    def handle_connect(self, event: Request) -> None:
        """Begin with a context of its own: the connection's may be that of an earlier request on it."""
        Context().run(super().handle_connect, event)

    def handle_cont(self, event: Frame) -> None:
        """Add to a message; one in too many pieces, which may be empty, ends the connection."""
        super().handle_cont(event)
        if len(self.frames) > MAX_FRAGMENTS:
            self._close(POLICY_VIOLATION)

    def handle_ping(self) -> None:
        """Answer it; a client that pings and does not read is hung up on."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """The client did not answer a ping: whatever it may still read, the application's part is over."""
        super().keepalive_timeout()
        self._end(NO_ANSWER)
        self._see_off()

    def pause_writing(self) -> None:
        """The write buffer is full: watch whether the client reads."""
        super().pause_writing()
        if self._unread is not None:
            self._unread.watch()

    def resume_writing(self) -> None:
        """The client has read most of the write buffer: stop watching."""
        if self._unread is not None:
            self._unread.forget()
        super().resume_writing()

    def send_receive_event_to_app(self) -> None:
        """Tell the application of a message, and parse no more until it has heard all. Text that is none ends it."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self._close(NO_TEXT)
            return
        super().send_receive_event_to_app()
        if self.read_paused:
            self.flow.pause_reading()

    async def receive(self) -> Any:
        """What happened next; what was held back is parsed once the application has heard all."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.flow.resume_reading()
        return message

    async def send(self, message: Any) -> None:
        """Send; a close does not wait until there is room for it. ClientDisconnected, an OSError, once it is over."""
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if not self.read_paused:
            self.flow.resume_reading()
        # After an answer that refuses the offer, uvicorn would report that there was none.
        self.handshake_complete = self.handshake_complete or self.close_sent

    async def run_asgi(self) -> None:
        """Run the application. Once it has ended the connection has a moment to be closed by the client."""
        await super().run_asgi()
        self._see_off(after=self.close_timeout)

    def shutdown(self) -> None:
        """The process leaves: say so, and close at once."""
        self._close(GOING_AWAY)
        super().shutdown()
        self._see_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._lost = True
        if self._unread is not None:
            self._unread.forget()
        if self._parting is not None:
            self._parting.cancel()
        self.flow.end()
        super().connection_lost(exc)

    def _close_unread(self) -> None:
        self._close(TRY_AGAIN_LATER)

    def _close(self, code: int) -> None:
        """Close without the application, which sees a disconnect."""
        if self.close_sent or self.conn.state is not State.OPEN:
            return
        self.stop_keepalive()
        self.conn.send_close(code)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._end(code)
        self.transport.close()
        self._see_off()

    def _end(self, code: int) -> None:
        """The application sees a disconnect, wherever it waits."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        self.disconnected = True
        self.writable.set()

    def _see_off(self, *, after: float = 0.0) -> None:
        """Once the connection is closing, or after so many seconds, what the client has not read in time is dropped."""
        if self._parting is None and not self._lost and (after or self.transport.is_closing()):
            self._parting = self.loop.call_later(after + self.patience.parting, self.transport.abort)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
