"""A small ASGI base for middleware written as `dispatch(request, call_next)`.

The inner application runs in a task, its response head is handed back, and its body goes straight to the server: a
stream that fails midway stays a broken response, which Starlette's own base turns into a complete one.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Finished = Callable[[BaseException | None], None]


class BrokenResponse(Exception):
    """The answer had begun and cannot be completed. Carries no text: what went wrong has been told already."""


class ResponseHead:
    """Status and headers of the inner application's answer, changeable until `dispatch` returns it."""

    __slots__ = ("_callbacks", "_finished", "headers", "message")

    def __init__(self, message: Message) -> None:
        message.setdefault("headers", [])
        self.message = message
        self.headers = MutableHeaders(raw=message["headers"])
        self._callbacks: list[Finished] = []
        self._finished = False

    @property
    def status_code(self) -> int:
        """The status that the inner application chose."""
        status: int = self.message["status"]
        return status

    def when_finished(self, callback: Finished) -> None:
        """Call back with None after the last byte, or with what cut the answer short.

        A failure after the last byte, in a background task or a dependency's exit, makes a second call with it.
        """
        self._callbacks.append(callback)

    def finish(self, error: BaseException | None) -> None:
        """Tell those who wait for the end."""
        if self._finished and not isinstance(error, Exception):
            return
        self._finished = True
        for callback in self._callbacks:
            callback(error)

    @property
    def is_finished(self) -> bool:
        """Whether the last byte is out, or never will be."""
        return self._finished


CallNext = Callable[[Request], Awaitable[ResponseHead]]


class CallNextMiddleware(ABC):
    """Subclass it and write `dispatch`. An answer of one's own goes through `answer`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(self.app, receive, send)
        try:
            head = await self.dispatch(Request(scope), exchange.call_next)
            await exchange.complete(head)
        finally:
            await exchange.abandon()

    @abstractmethod
    async def dispatch(self, request: Request, call_next: CallNext) -> ResponseHead:
        """Return the head that `call_next` gave, or one made with `answer`."""


class Answer(ResponseHead):
    """A complete answer of the middleware's own."""

    __slots__ = ("body",)

    def __init__(self, *, status: int, body: bytes, media_type: str) -> None:
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        super().__init__({"type": "http.response.start", "status": status, "headers": headers})
        self.body = body


class Exchange:
    """One request on its way through: the inner application's task and what it has sent so far."""

    __slots__ = ("_app", "_go_on", "_head", "_receive", "_send", "_started", "_task")

    def __init__(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        self._app = app
        self._receive = receive
        self._send = send
        self._head: ResponseHead | None = None
        self._task: asyncio.Task[None] | None = None

    async def call_next(self, request: Request) -> ResponseHead:
        """The inner application's head, or its exception if it failed before sending one."""
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[ResponseHead] = loop.create_future()
        self._go_on: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._run(request.scope))
        return await self._started

    async def complete(self, head: ResponseHead) -> None:
        """Send the head and let the body follow, to the end of the inner application and its background tasks."""
        if isinstance(head, Answer):
            await self._send(head.message)
            await self._send({"type": "http.response.body", "body": head.body})
            head.finish(None)
        elif self._task is not None:
            self._go_on.set_result(None)
            await self._task

    async def abandon(self) -> None:
        """Leave nothing running when the request is cancelled or answered by somebody else."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._head is not None:
            self._head.finish(asyncio.CancelledError())

    async def _run(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._receive, self._pass_on)
        except asyncio.CancelledError:
            if not self._started.done():
                self._started.cancel()  # whoever awaits the head would wait for ever
            raise
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the head, or told and re-raised
            self._failed(error)
        else:
            self._ended()

    async def _pass_on(self, message: Message) -> None:
        if self._head is None and message["type"] == "http.response.start":
            self._head = ResponseHead(message)
            self._started.set_result(self._head)
            await self._go_on
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False) and self._head:
            self._head.finish(None)

    def _failed(self, error: Exception) -> None:
        if self._head is None:
            if not self._started.done():
                self._started.set_exception(error)
            return
        complete = self._head.is_finished
        self._head.finish(error)
        if not complete:
            raise BrokenResponse from None

    def _ended(self) -> None:
        if self._head is None and self._started.done():
            return
        if self._head is None:
            self._started.set_exception(RuntimeError("the application returned without an answer"))
        else:
            self._head.finish(asyncio.CancelledError())
