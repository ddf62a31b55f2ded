"""The base of our middleware: `dispatch` stops at `call_next` and goes on with the head, whoever sends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from service.observability.call_next import CallNext, CallNextMiddleware, OwnAnswer, ResponseHead
from tests.support.patience import patient

NAME: ContextVar[str] = ContextVar("NAME", default="nobody")

Dispatch = Callable[[Request, CallNext], Awaitable[ResponseHead]]
Handler = Callable[[Request], Awaitable[Response]]


async def named(_: Request) -> Response:
    return JSONResponse({"name": NAME.get()})


async def streamed(_: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield NAME.get() + " "

    return StreamingResponse(parts())


async def crashing(_: Request) -> Response:
    raise ValueError("no")


def client_of(dispatch: Dispatch, handler: Handler) -> httpx.AsyncClient:
    """A client of an application with one route behind one middleware."""

    class Written(CallNextMiddleware):
        async def dispatch(self, request: Request, call_next: CallNext) -> ResponseHead:
            return await dispatch(request, call_next)

    app = Starlette(routes=[Route("/", handler)], middleware=[Middleware(Written)])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://relevo.test"
    )


@pytest.mark.parametrize(("handler", "text"), [(named, '{"name":"Ada"}'), (streamed, "Ada Ada Ada ")])
async def test_the_application_sees_what_dispatch_has_set_to_its_end_and_nobody_after_it(
    handler: Handler, text: str
) -> None:
    async def dispatch(request: Request, call_next: CallNext) -> ResponseHead:
        token = NAME.set("Ada")
        try:
            head = await call_next(request)
        finally:
            NAME.reset(token)
        head.headers["x-after"] = NAME.get()
        return head

    async with client_of(dispatch, handler) as client:
        answer = await client.get("/")

    assert (answer.text, answer.headers["x-after"], NAME.get()) == (text, "nobody", "nobody")


@pytest.mark.parametrize("handler", [named, streamed])
async def test_dispatch_may_wait_before_and_after_the_application(handler: Handler) -> None:
    async def dispatch(request: Request, call_next: CallNext) -> ResponseHead:
        await asyncio.sleep(0.001)
        head = await call_next(request)
        head.headers["x-waited"] = await asyncio.wait_for(asyncio.sleep(0.001, "yes"), patient(5))
        return head

    async with client_of(dispatch, handler) as client:
        answer = await client.get("/")

    assert (answer.status_code, answer.headers["x-waited"]) == (200, "yes")


async def test_an_answer_of_ones_own_needs_no_application() -> None:
    async def dispatch(_: Request, __: CallNext) -> ResponseHead:
        return OwnAnswer(status=403, body=b"{}", media_type="application/json")

    async with client_of(dispatch, crashing) as client:
        answer = await client.get("/")

    assert (answer.status_code, answer.text) == (403, "{}")


@pytest.mark.parametrize("handler", [named, streamed])
async def test_an_answer_in_place_of_the_applications_ends_the_application(handler: Handler) -> None:
    async def dispatch(request: Request, call_next: CallNext) -> ResponseHead:
        await call_next(request)
        return OwnAnswer(status=409, body=b"other", media_type="text/plain")

    async with client_of(dispatch, handler) as client:
        answer = await client.get("/")

    assert (answer.status_code, answer.text) == (409, "other")


async def test_a_failure_before_the_head_is_raised_by_call_next() -> None:
    async def dispatch(request: Request, call_next: CallNext) -> ResponseHead:
        try:
            return await call_next(request)
        except ValueError as error:
            return OwnAnswer(status=500, body=repr(error).encode(), media_type="text/plain")

    async with client_of(dispatch, crashing) as client:
        answer = await client.get("/")

    assert answer.text == "ValueError('no')"


async def test_a_deadline_of_dispatch_ends_the_application() -> None:
    ended = []

    async def endless(_: Request) -> Response:
        try:
            return await asyncio.Event().wait() and Response()
        finally:
            ended.append(True)

    async def dispatch(request: Request, call_next: CallNext) -> ResponseHead:
        try:
            async with asyncio.timeout(0.01):
                return await call_next(request)
        except TimeoutError:
            return OwnAnswer(status=504, body=b"", media_type="text/plain")

    async with client_of(dispatch, endless) as client:
        answer = await client.get("/")

    assert (answer.status_code, ended) == (504, [True])


async def test_the_end_is_told_once_after_the_last_byte_and_a_late_failure_as_well() -> None:
    told: list[BaseException | None] = []

    async def late(_: Request) -> Response:
        async def fail() -> None:
            raise ValueError("late")

        return JSONResponse({}, background=BackgroundTask(fail))

    async def dispatch(request: Request, call_next: CallNext) -> ResponseHead:
        head = await call_next(request)
        head.when_finished(told.append)
        return head

    async with client_of(dispatch, late) as client:
        answer = await client.get("/")

    assert answer.status_code == 200
    assert [type(error) for error in told] == [type(None), ValueError]


async def test_a_second_call_of_the_application_is_refused() -> None:
    async def dispatch(request: Request, call_next: CallNext) -> ResponseHead:
        await call_next(request)
        return await call_next(request)

    async with client_of(dispatch, named) as client:
        answer = await client.get("/")

    assert answer.status_code == 500
