"""A connection to a receiver, for one exchange after another. aiohttp's connector opens and pools it."""

import asyncio
from typing import cast

import aiohttp

from service.adapters.destinations.http.answers import AnswerReader, Head, Malformed

MAX_UNSOLICITED_BYTES = 65_536


class HttpExchange(asyncio.Protocol):
    """The protocol that the connector expects, with `ask`, `more` and `finish` for an exchange.

    After the status line an error does not hide the status: `ask` returns the head, and `more` raises the error after
    the last piece of the body. A connection with any malformed answer is not reused.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.should_close = False
        self._loop = asyncio.get_running_loop()
        self._answer: AnswerReader | None = None
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unasked = bytearray()
        self._used = False
        self._lost = False
        self._closed: asyncio.Future[None] | None = None

    async def ask(self, request: bytes, *, deadline: float | None) -> Head:
        """Send the request and wait for the answer's head. `deadline` is a time of the event loop's clock."""
        answer = self._answer = AnswerReader()
        self._error = None
        if not self.is_connected():
            raise aiohttp.ServerDisconnectedError
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._expire)
        cast("asyncio.Transport", self.transport).write(request)
        if self._unasked:
            self._feed(bytes(self._unasked))
            self._unasked.clear()
        while answer.head is None:
            if self._error is not None:
                raise self._error
            await self._wait()
        return answer.head

    async def more(self) -> bytes:
        """The next piece of the body; empty at its end. Raises the error that cut the answer short."""
        while (answer := self._answer) is not None:
            if piece := self._take(answer):
                return piece
            if answer.complete:
                break
            if self._error is not None:
                raise self._error
            await self._wait()
        return b""

    def finish(self) -> bool:
        """End the exchange. Returns whether the connection may carry another one."""
        answer, self._answer = self._answer, None
        self._used = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        unsent = self.transport is None or self.transport.get_write_buffer_size()
        self.should_close = bool(answer is None or not answer.reusable or self._error is not None or unsent)
        return not self.should_close

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop. Unsolicited bytes on a used connection close it."""
        if self._answer is not None:
            self._feed(data)
        elif self._used or len(self._unasked) + len(data) > MAX_UNSOLICITED_BYTES:
            self.abort()
        else:
            self._unasked += data

    def eof_received(self) -> None:
        """Called by the event loop, which then closes the connection."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._end(exc)
        self.transport = None
        self._lost = True
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def is_connected(self) -> bool:
        """Asked by the connector before it reuses the connection."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def closed(self) -> asyncio.Future[None] | None:
        """Done once the connection is closed; None when it was closed before anybody asked."""
        if self._closed is None and not self._lost:
            self._closed = self._loop.create_future()
        return self._closed

    def force_close(self) -> None:
        """Do not reuse the connection."""
        self.should_close = True

    def close(self) -> None:
        """Close the connection; abort it if bytes are unsent or unread, since waiting for them could take for ever."""
        if self.transport is None:
            return
        if self.should_close or self._answer is not None:
            self.transport.abort()
        else:
            self.transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self.should_close = True
        if self.transport is not None:
            self.transport.abort()

    def _feed(self, data: bytes) -> None:
        answer = cast("AnswerReader", self._answer)
        if answer.complete:
            self.abort()
            return
        if self._error is None:
            self._feed_or_fail(answer, data)
        if answer.full and self.transport is not None:
            self.transport.pause_reading()
        self._wake()

    def _feed_or_fail(self, answer: AnswerReader, data: bytes) -> None:
        try:
            answer.feed(data)
        except Malformed as error:
            self._fail(error)

    def _take(self, answer: AnswerReader) -> bytes:
        was_full = answer.full
        try:
            piece = answer.take()
        except Malformed as error:
            self._fail(error)
            return self._take(answer)
        if was_full and self.transport is not None:
            self.transport.resume_reading()
        return piece

    def _end(self, error: Exception | None) -> None:
        if self._answer is None or self._error is not None:
            return
        if error is None:
            self._answer.end()
        if not self._answer.complete:
            self._fail(aiohttp.ClientOSError(*error.args) if error else aiohttp.ServerDisconnectedError())
        self._wake()

    def _expire(self) -> None:
        self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        self._error = error
        if self._answer is not None:
            try:
                self._answer.give_up()
            except Malformed as malformed:
                self._error = malformed
        self._wake()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
