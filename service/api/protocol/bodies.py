"""Bodies of requests: read strictly and without loss, up to limits of length, of time, of values, and of what is held
of all bodies together."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, Self

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope

from service.api.protocol import ignored
from service.api.protocol.ignored import Known
from service.application import exact_json
from service.application.access import Caller
from service.domain.errors import Busy
from service.domain.ids import OrgId

BODY_WITHIN_S = 30.0  # what takes longer with so little is no slow line but somebody who means it
MOST_HELD_BYTES = 128 * 1024 * 1024
_NOT_JSON = "This is not valid JSON: {}"


@dataclass(frozen=True, slots=True)
class MostOf:
    """How many values a body may hold, and of them lists and objects: each costs as much as ten numbers."""

    values: int = 100_000
    lists: int = 20_000


USUALLY = MostOf()


class JsonRequest(Request):
    """A request whose body is read only up to the application's limits, of length, of time and of what is held of all
    bodies together. What is held of this one is let go at the end of the block.

    With `known`, fields of the body that are not among those are told of.
    """

    held = 0
    known: Known | None = None

    def __init__(self, scope: Scope, receive: Receive, *, most: MostOf = USUALLY) -> None:
        super().__init__(scope, receive)
        self._most = most

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
        # FastAPI knows what to do with a JSONDecodeError, whose text callers are told, and takes anything else for a
        # fault of its own.
        lists = body.count(b"[") + body.count(b"{")
        if lists > self._most.lists:
            raise _too_much(f"{self._most.lists:,} lists and objects")
        if lists + body.count(b",") > self._most.values:
            raise _too_much(f"{self._most.values:,} values")
        try:
            document = exact_json.read(body)
        except ValueError as error:
            raise JSONDecodeError(_NOT_JSON.format(error), "", 0) from None
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


class HeldBodies:
    """Bytes in memory, by organisation.

    Each organisation may hold as much as it leaves free: one alone half of all, two a third each, and there is always
    room for one more. Nobody waits for room, since whoever waits holds what has arrived.
    """

    def __init__(self, most: int = MOST_HELD_BYTES) -> None:
        self._free = most
        self._held: dict[OrgId, int] = {}

    def hold(self, org_id: OrgId, size: int) -> None:
        """So many more. Busy when the organisation has its share."""
        held = self._held.get(org_id, 0) + size
        if held > self._free - size:
            raise Busy("Too much that was sent is in memory already. Try again shortly.")
        self._held[org_id] = held
        self._free -= size

    def let_go(self, org_id: OrgId, size: int) -> None:
        """So many less."""
        left = self._held.pop(org_id, 0) - size
        if left > 0:
            self._held[org_id] = left
        self._free += size


def parse(body: bytes) -> Any:
    """The value of a JSON document. RequestValidationError for what is not UTF-8, nested too deep or no JSON at all."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise not_json(error) from error


def not_json(error: ValueError) -> RequestValidationError:
    """The fault of a body that cannot be read, by what the reader said of it."""
    reason = error.msg if isinstance(error, orjson.JSONDecodeError) else str(error)
    return RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": _NOT_JSON.format(reason)}])


def refuse_packed(request: Request, *, unpacked: tuple[str, ...] = ("", "identity")) -> None:
    """415 for a body in a coding that nobody unpacks."""
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in unpacked:
        detail = "The body of this request has a Content-Encoding that is not read here; send it as it is."
        raise HTTPException(415, detail, headers={"accept-encoding": "identity"})


def _too_much(most: str) -> JSONDecodeError:
    sentence = f"There are more than {most} in the body, the limit of this request: send less at once."
    return JSONDecodeError(sentence, "", 0)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The request's body is too large: the limit is {limit} bytes.")
