"""JSON in and out: read strictly, so that what is broken is a fault of the request, and written without a detour."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from json import JSONDecodeError
from typing import Any, Self

import orjson
from fastapi import Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Query
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope

from service.api import ignored
from service.api.admission import Admission
from service.api.ignored import Ignored, Known, nearest
from service.application import exact_json
from service.application.access import Caller
from service.domain.ids import OrgId

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_without_index = re.compile(r"\[\d*\]\Z").sub


class ToldRoute(APIRoute):
    """A route that tells of the parameters which it does not read."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, and a look at the query before it."""
        handle = super().get_route_handler()
        parameters = get_flat_params(self.dependant)
        known = frozenset(each.alias for each in parameters if isinstance(each.field_info, Query))

        async def handle_told(request: Request) -> Response:
            if request.scope["query_string"]:
                ignored.note(request.scope, _unknown(request.query_params, known))
            return ignored.told(await handle(request), request)

        return handle_told


class JsonRoute(ToldRoute):
    """A route whose body is read strictly, and only up to the application's limit, `most_values` and `most_lists`.

    Objects count as lists do: each costs as much as ten numbers.
    """

    most_values, most_lists = 100_000, 20_000

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, given a request of our own. Whoever may not come in is refused before the body is read."""
        handle = super().get_route_handler()
        admission, reads_body = Admission(self.dependant), self.body_field is not None
        model = None if self.body_field is None else self.body_field.field_info.annotation
        known = Known.of(model) if isinstance(model, type) and issubclass(model, BaseModel) else None

        async def handle_json(request: Request) -> Response:
            with JsonRequest(request.scope, request.receive, route=type(self)) as ours:
                ours.known = known
                if reads_body:
                    await admission.admit(ours)
                    # Read here, since FastAPI would take every refusal for a body that it cannot parse.
                    await ours.body()
                return await handle(ours)

        return handle_json


class DocumentRoute(JsonRoute):
    """A route whose body is a document of the caller's own, so that there may be much in it."""

    most_values = most_lists = 200_000


class PayloadRoute(JsonRoute):
    """A route whose body holds a payload: as many values as fit in it, though not as many lists."""

    most_values, most_lists = 2 * 1024 * 1024, 100_000


class JsonResponse(Response):
    """JSON by orjson, which lets fragments of stored JSON through as they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return as_json(content)


def as_json(content: Any) -> bytes:
    """The bytes of a model of ours, or of what orjson can write."""
    return orjson.dumps(content.model_dump(by_alias=True) if isinstance(content, BaseModel) else content)


def parse(body: bytes) -> Any:
    """The value of a JSON document. RequestValidationError for what is not UTF-8, nested too deep or no JSON at all."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise not_json(error) from error


def not_json(error: ValueError) -> RequestValidationError:
    """The fault of a body that cannot be read, by what the reader said of it."""
    reason = error.msg if isinstance(error, orjson.JSONDecodeError) else str(error)
    return RequestValidationError(
        [{"type": "json_invalid", "loc": ("body",), "msg": f"This is not valid JSON: {reason}"}]
    )


class JsonRequest(Request):
    """A request whose body is read only up to the application's limits, of length, of time and of what is held of all
    bodies together. What is held of this one is let go at the end of the block.

    With `known`, fields of the body that are not among those are told of.
    """

    held = 0
    known: Known | None = None

    def __init__(self, scope: Scope, receive: Receive, *, route: type[JsonRoute] = JsonRoute) -> None:
        super().__init__(scope, receive)
        self._most_values, self._most_lists = route.most_values, route.most_lists

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.held:
            self.app.state.held_bodies.let_go(self._org_id(), self.held)
            self.held = 0

    async def body(self) -> bytes:
        """The whole body. 413 once it is too long, 408 when it does not end in time, 415 when it is packed; Busy."""
        try:
            async with asyncio.timeout(self.app.state.body_within):
                return await super().body()
        except TimeoutError:
            raise HTTPException(408, headers={"connection": "close"}) from None

    async def json(self) -> Any:
        """The body, parsed without loss. Objects are made of it, so that it may not have too many values."""
        body = await self.body()
        # FastAPI knows what to do with a JSONDecodeError, and takes anything else for a fault of its own.
        lists = body.count(b"[") + body.count(b"{")
        if lists > self._most_lists:
            raise JSONDecodeError(f"There are more than {self._most_lists:,} lists and objects in it", "", 0)
        if lists + body.count(b",") > self._most_values:
            raise JSONDecodeError(f"There are more than {self._most_values:,} values in it", "", 0)
        try:
            document = exact_json.read(body)
        except ValueError as error:
            raise JSONDecodeError(str(error), "", 0) from None
        if self.known is not None:
            ignored.note(self.scope, self.known.unknown(document))
        return document

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces."""
        # Counted here and not by a middleware outside of ours, so that a refusal is JSON and has a request id.
        refuse_packed(self)
        limit = self.app.state.max_body_bytes
        size = int(self.headers.get("content-length") or 0)
        if size > limit:
            raise _too_large(limit)
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            self._hold(len(chunk))
            yield chunk

    def _hold(self, size: int) -> None:
        if size:
            self.app.state.held_bodies.hold(self._org_id(), size)
            self.held += size

    def _org_id(self) -> OrgId:
        """Whose body it is; nobody's is read before it is known, but for what asks no token."""
        found: Caller | None = getattr(self.state, "caller", None)
        return OrgId("") if found is None else found.org_id


def refuse_packed(request: Request, *, unpacked: tuple[str, ...] = ("", "identity")) -> None:
    """415 for a body in a coding that nobody unpacks."""
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in unpacked:
        detail = "The body of this request has a Content-Encoding that is not read here; send it as it is."
        raise HTTPException(415, detail, headers={"accept-encoding": "identity"})


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The request's body is too large: the limit is {limit} bytes.")


def _unknown(parameters: Iterable[str], known: frozenset[str]) -> Iterator[Ignored]:
    for name in parameters:
        if _without_index("", name) not in known:
            yield Ignored(name=name, meant=nearest(name, known))
