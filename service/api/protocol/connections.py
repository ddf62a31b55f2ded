"""HTTP/1.1 connections, with the timeouts and limits that uvicorn lacks.

uvicorn waits for ever for the rest of a request and for a response to be read, reads any number of requests ahead and
heads and trailers of any length, and takes the body of a request with an `Upgrade` header for the other protocol.
"""

import asyncio
import re
from asyncio import TimerHandle
from contextvars import Context
from typing import Any, ClassVar
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.api.protocol.heads import body_length, has_body, refusal_of, without_offer
from service.api.protocol.offers import refusal_of_offer
from service.api.protocol.pacing import PacedFlow
from service.api.protocol.patience import MOST_WAITING, Patience, UnreadAnswer
from service.api.protocol.refusals import Refusal, answer_to, too_large
from service.observability.refusals import RefusedRequests


class CallerProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with the limits of `patience`; what breaks them is answered 4xx and hung up on."""

    patience: ClassVar[Patience] = Patience()
    # Paths that accept `Upgrade: websocket`, once `listening` has a protocol for it.
    websocket_paths: ClassVar[tuple[re.Pattern[str], ...]] = ()
    refused: ClassVar[RefusedRequests] = RefusedRequests()
    flow: PacedFlow

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waiting: TimerHandle | None = None
        self._unread: UnreadAnswer | None = None
        self._head_bytes = 0
        self._in_body = False
        self._before: RequestResponseCycle | None = None
        self._running: RequestResponseCycle | None = None
        self._body_bytes = self._body_length = 0
        self._beside = self._beside_in_a_row = self._dropped = 0
        self._refusal: Refusal | None = None
        self._ended = self._leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Start the timeout of the first head."""
        super().connection_made(transport)
        self.flow = PacedFlow(transport, parse=self._parse, is_full=lambda: len(self.pipeline) >= MOST_WAITING)
        self._unread = UnreadAnswer(transport, loop=self.loop, patience=self.patience)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Parse the data, in pieces if it is much and not all of one body."""
        self.flow.take(data, whole=len(data) <= self._body_length - self._body_bytes)

    def _parse(self, data: bytes) -> None:
        """Parse the data, and set the timeout of whatever is incomplete afterwards."""
        if self._ended:
            self._drop(len(data), most=self.patience.parting_bytes)
            return
        body_of, body_bytes = self.cycle if self._in_body else None, self._body_bytes
        if not self._in_body:
            # Line breaks before a request line count as well, although the parser skips them.
            self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._ended:
            return
        if self.transport.is_closing():
            self._stop_waiting()
        elif self._in_body:
            self._wait_for_body(len(data))
            if body_of is self.cycle:
                self._count_beside(len(data), self._body_bytes - body_bytes)
        elif self._head_bytes > self.patience.head_bytes:
            self._refuse(too_large(self.patience.head_bytes))
        elif self._is_idle() and self._waiting is None:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Check the complete head; stop the parser if it is refused."""
        if self.parser.should_upgrade() and self._offers():
            if self._takes_up():
                self._check_head()
                super().on_headers_complete()
            return  # the parser would skip the body; `_read_again` feeds it the head without `Upgrade`
        self._stop_waiting()
        self._head_bytes = self._body_bytes = self._beside = self._beside_in_a_row = self._dropped = 0
        self._check_head()
        self._body_length = body_length(self.headers)
        self._in_body, self._before = True, self.cycle
        super().on_headers_complete()
        self.cycle.keep_alive &= not self._leaving
        # The app holds the list of headers; the parser must not append trailers to it.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Count a piece of the body and pass it on."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete: stop its timeout."""
        if not self._in_body:
            return  # a head that `_read_again` feeds again
        self._stop_waiting()
        self._in_body = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The write buffer is full: watch whether the caller reads."""
        super().pause_writing()
        if self._unread is not None:
            self._unread.watch()

    def resume_writing(self) -> None:
        """The caller has read most of the write buffer: stop watching."""
        if self._unread is not None:
            self._unread.forget()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Watch that the caller reads the rest of the response too, whether or not the connection then closes."""
        super().on_response_complete()
        if self._unread is not None and self.transport.get_write_buffer_size():
            self._unread.watch()

    def shutdown(self) -> None:
        """Answer no more than one request. An idle connection waits for it a moment: it may be on its way."""
        self._leaving = True
        if self._is_idle() and not self._ended:
            self.loop.call_later(self.patience.leaving, self._leave)
        else:
            super().shutdown()

    def _leave(self) -> None:
        if self._is_idle() and not self._head_bytes:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers, and tell the request that is being answered. Those behind it are forgotten."""
        self._stop_waiting()
        if self._unread is not None:
            self._unread.forget()
        self.flow.end()
        # uvicorn would tell the newest alone, and those that wait would keep each other in memory.
        self.pipeline.clear()
        self.cycle = self._running  # type: ignore[assignment]  # None before the first request, as in uvicorn
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _check_head(self) -> None:
        """Check the head. ValueError, which stops the parser, when it is refused."""
        version, method = self.parser.get_http_version(), self.parser.get_method()
        self._refusal = refusal_of(version, method, self.url, self.headers, most_bytes=self.patience.head_bytes)
        if self._refusal is not None:
            raise ValueError(self._refusal.detail)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            rest = data[offer.args[0] :]
            if not self._takes_up():
                self._read_again(rest)
            elif refusal := refusal_of_offer(self.headers, followed=bool(rest) or self.flow.holds_more):
                self._refuse(refusal)
            else:
                self._hand_over()
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or Refusal(400, f"This is not HTTP/1.1 as RFC 9112 has it: {error}."))

    def _read_again(self, rest: bytes) -> None:
        """Parse the head again without its `Upgrade` header, and then `rest`, which the parser took for that
        protocol."""
        line = b" ".join((self.parser.get_method(), self.url, b"HTTP/" + self.parser.get_http_version().encode()))
        self.parser = httptools.HttpRequestParser(self)
        # As in uvicorn: bytes after a request with `Connection: close` are ignored and no error.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(without_offer(line, self.headers) + rest)

    def _hand_over(self) -> None:
        """Leave the connection to the protocol of WebSockets, for good."""
        self._stop_waiting()
        if self._unread is not None:
            self._unread.forget()
        self.handle_websocket_upgrade()
        self._ended = True

    def _offers(self) -> bool:
        return self.parser.get_method() != b"CONNECT"

    def _takes_up(self) -> bool:
        """Whether the connection switches to the other protocol: for a GET of HTTP/1.1 without a body, on a path that
        speaks it, when everything before it has been answered and read."""
        is_plain = self.parser.get_method() == b"GET" and self.parser.get_http_version() == "1.1"
        is_free = self._is_idle() and not self.pipeline and not self.flow.write_paused
        return is_plain and is_free and self._should_upgrade() and not has_body(self.headers)

    def _should_upgrade(self) -> bool:
        if not self.websocket_paths or not self.url.isascii():
            return False
        path = unquote(self.url.partition(b"?")[0].decode())
        return any(spoken.match(path) for spoken in self.websocket_paths) and super()._should_upgrade()

    def _count_beside(self, received: int, of_body: int) -> None:
        """Limit the bytes that come beside an incomplete body: chunk sizes and extensions, trailers."""
        self._beside += received - of_body
        self._beside_in_a_row = 0 if of_body else self._beside_in_a_row + received
        granted = self.patience.beside_a_body
        if (
            self._beside_in_a_row > granted
            or self._beside > granted + self.patience.beside_each_byte * self._body_bytes
        ):
            self._refuse(too_large(granted))

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._waiting = self.loop.call_later(self.patience.head, self._give_up_on_head)

    def _wait_for_body(self, received: int = 0) -> None:
        if self._is_idle():
            # The rest of a body that was answered is drained for a while, so that the caller reads the response.
            self._drop(received, most=self.patience.drained_bytes)
        if self._waiting is not None and (self._is_idle() or self.flow.holds_more):
            return
        self._stop_waiting()
        self._waiting = self.loop.call_later(self.patience.silence, self._give_up_on_body)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up_on_head(self) -> None:
        self._waiting = None
        if self._head_bytes:
            self._refuse(Refusal(408, f"The head of a request has to be there within {self.patience.head:g} seconds."))
        else:
            self.transport.close()

    def _give_up_on_body(self) -> None:
        self._waiting = None
        if self.flow.read_paused:
            self._wait_for_body()  # the app has paused reading, so the caller is not at fault
        else:
            # The app sees a disconnect, as when a caller hangs up.
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer the refusal and stop reading. Complete requests that came before are still answered."""
        self._stop_waiting()
        self._ended = True
        if self._in_body and self.pipeline and self._before is not None:
            self.pipeline.popleft()  # the newest, which will never be complete
            self.cycle, self._in_body = self._before, False
        if self._in_body:
            if not self.cycle.response_started:
                self._answer(refusal)
            # The app sees a disconnect, and can write nothing into our response.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._hang_up()
        elif self._is_idle():
            self._answer(refusal)
            self._hang_up()
        else:
            self.cycle.keep_alive = False

    def _drop(self, received: int, *, most: int) -> None:
        self._dropped += received
        if self._dropped > most:
            self.transport.abort()

    def _hang_up(self) -> None:
        """Drain for a moment before closing: a close with unread bytes resets the connection and loses the response."""
        self.flow.resume_reading()
        self.transport.write_eof()
        self._waiting = self.loop.call_later(self.patience.parting, self.transport.abort)

    def _answer(self, refusal: Refusal) -> None:
        fields = self.cycle.scope["headers"] if self._in_body else self.headers or ()
        answer = answer_to(refusal, list(fields))
        self.transport.write(answer.written)
        # The connection's context may be that of an earlier request.
        Context().run(
            self.refused,
            status=refusal.status,
            detail=refusal.detail,
            request_id=answer.request_id,
            scheme=self.scheme or "http",
        )
