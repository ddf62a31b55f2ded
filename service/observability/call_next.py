"""A base class for ASGI middleware written as `dispatch(request, call_next)`.

`dispatch` is suspended at `call_next` while the inner application runs in the same task, and resumes when the
application sends its response head. The body goes straight to the server, so a stream that fails midway stays a broken
response. (Starlette's own base class would end it as if it were complete.)
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, ContextVar, Token, copy_context
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Finished = Callable[[BaseException | None], None]

_UNSET: Final = object()


class BrokenResponse(Exception):
    """The answer had begun and cannot be completed. Carries no text: the error itself has been logged already."""


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
        """Call the `when_finished` callbacks."""
        if self._finished and not isinstance(error, Exception):
            return
        self._finished = True
        for callback in self._callbacks:
            callback(error)

    @property
    def is_finished(self) -> bool:
        """Whether the last byte was sent, or sending was given up."""
        return self._finished


CallNext = Callable[[Request], Awaitable[ResponseHead]]
Dispatch = Callable[[Request, CallNext], Coroutine[Any, Any, ResponseHead]]


class CallNextMiddleware(ABC):
    """Subclass it and write `dispatch`. To answer in the application's place, return an `OwnAnswer`.

    Context variables that `dispatch` sets before `call_next` are visible to the inner application until it ends.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return InnerExchange(self.app, receive, send).answered_by(self.dispatch, Request(scope))
        return self.app(scope, receive, send)

    @abstractmethod
    async def dispatch(self, request: Request, call_next: CallNext) -> ResponseHead:
        """Return the head that `call_next` gave, or an `OwnAnswer`. Call `call_next` once at most."""


class OwnAnswer(ResponseHead):
    """A complete answer made by the middleware instead of the application."""

    __slots__ = ("body",)

    def __init__(self, *, status: int, body: bytes, media_type: str) -> None:
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        super().__init__({"type": "http.response.start", "status": status, "headers": headers})
        self.body = body


class InnerExchange:
    """One request passing through the middleware: its suspended `dispatch`, and what the application has sent so
    far."""

    __slots__ = ("_app", "_asked", "_begun", "_context", "_dispatch", "_head", "_receive", "_replaced", "_send")

    def __init__(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        self._app = app
        self._receive = receive
        self._send = send
        self._context = copy_context()
        self._head: ResponseHead | None = None
        self._asked = False
        self._begun = False
        self._replaced = False

    async def answered_by(self, dispatch: Dispatch, request: Request) -> None:
        """Run `dispatch` and the inner application until the last byte is sent and background tasks have ended."""
        self._dispatch = dispatch(request, self._call_next)
        outcome = self._step()
        if isinstance(outcome, _Passed):
            outcome = await self._go_on(outcome)
        if not isinstance(outcome, _Asked):
            await self._answer(outcome)
            return
        shown = _show(self._context)
        try:
            await self._app(outcome.request.scope, self._receive, self._pass_on)
        except BaseException as error:  # noqa: BLE001 - given to `dispatch` or to the callbacks, and raised again
            await self._failed(error)
        else:
            await self._ended()
        finally:
            for variable, token in shown:
                variable.reset(token)

    def _call_next(self, request: Request) -> "_Asked":
        if self._asked:
            raise RuntimeError("call_next is called once at most")
        self._asked = True
        return _Asked(request)

    async def _pass_on(self, message: Message) -> None:
        if self._head is None and message["type"] == "http.response.start":
            self._head = ResponseHead(message)
            outcome = self._step(self._head)
            if isinstance(outcome, _Passed):
                outcome = await self._go_on(outcome)
            if outcome is not self._head:
                self._replaced = True
                await self._answer(outcome)
        if self._replaced:
            raise _NotWanted
        self._begun = True
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False) and self._head:
            self._head.finish(None)

    async def _failed(self, error: BaseException) -> None:
        if self._head is None:
            outcome = self._step(error=error)
            await self._answer(await self._go_on(outcome) if isinstance(outcome, _Passed) else outcome)
            return
        complete = self._head.is_finished or self._replaced
        self._head.finish(error)
        if not isinstance(error, Exception) or not (self._begun or complete):
            raise error
        if not complete:
            raise BrokenResponse from None

    async def _ended(self) -> None:
        if self._head is None:
            await self._failed(RuntimeError("the application returned without an answer"))
        else:
            self._head.finish(asyncio.CancelledError())

    async def _answer(self, outcome: "ResponseHead | _Asked") -> None:
        if not isinstance(outcome, OwnAnswer):
            raise TypeError("dispatch must return the head that call_next gave, or an OwnAnswer")
        await self._send(outcome.message)
        await self._send({"type": "http.response.body", "body": outcome.body})
        outcome.finish(None)

    def _step(self, given: Any = None, *, error: BaseException | None = None) -> "ResponseHead | _Asked | _Passed":
        """Resume `dispatch` in its own context until it returns, calls `call_next` or awaits something."""
        try:
            if error is None:
                wanted = self._context.run(self._dispatch.send, given)
            else:
                wanted = self._context.run(self._dispatch.throw, error)
        except StopIteration as returned:
            outcome: ResponseHead = returned.value
            return outcome
        return wanted if isinstance(wanted, _Asked) else _Passed(wanted)

    async def _go_on(self, outcome: "ResponseHead | _Asked | _Passed") -> "ResponseHead | _Asked":
        """Forward what `dispatch` awaits to the event loop, and the results back, until it returns or calls
        `call_next`."""
        while isinstance(outcome, _Passed):
            try:
                given = await outcome
            except BaseException as thrown:  # noqa: BLE001 - a cancellation, say; it belongs to `dispatch`
                outcome = self._step(error=thrown)
            else:
                outcome = self._step(given)
        return outcome


class _Asked:
    """What `call_next` returns: awaiting it suspends `dispatch` until the application has sent its head."""

    __slots__ = ("request",)

    def __init__(self, request: Request) -> None:
        self.request = request

    def __await__(self) -> Generator["_Asked", ResponseHead, ResponseHead]:
        return (yield self)


class _Passed:
    """Anything else that `dispatch` awaits, forwarded to the event loop."""

    __slots__ = ("_wanted",)

    def __init__(self, wanted: object) -> None:
        self._wanted = wanted

    def __await__(self) -> Generator[object, object, object]:
        return (yield self._wanted)


class _NotWanted(Exception):
    """Raised inside an application whose answer `dispatch` has replaced, to end it."""


def _show(context: Context) -> list[tuple[ContextVar[Any], Token[Any]]]:
    """Copy the context variables of `context` into the current context. Returns the tokens to reset them."""
    return [(variable, variable.set(value)) for variable, value in context.items() if variable.get(_UNSET) is not value]
