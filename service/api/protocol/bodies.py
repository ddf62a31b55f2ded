"""Request bodies: parsed strictly and without loss, within limits of size, time, values, and of the memory that all
bodies together take."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, Self

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from service.api.protocol import ignored
from service.api.protocol.ignored import Known
from service.api.protocol.waiting import within
from service.application import exact_json
from service.application.access import Caller
from service.domain.errors import Busy
from service.domain.ids import OrgId

BODY_TIMEOUT_S = 30.0  # for a body of at most MAX_BODY_BYTES; what is slower is no slow line but an attack
MAX_HELD_BYTES = 128 * 1024 * 1024
_OF_BODIES = frozenset({b"content-encoding", b"content-length"})
_PLAIN = ("", "identity")
_NOT_JSON = "This is not valid JSON: {}"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How many values a body may hold, and how many lists and objects, each of which costs as much as ten numbers."""

    values: int = 100_000
    lists: int = 20_000


DEFAULT_BODY_LIMITS = BodyLimits()


class JsonRequest(Request):
    """A request that reads its body within the app's limits of size, time and memory. A context manager: its exit gives
    the memory back.

    With `known`, the response reports the fields of the body that are not among these.
    """

    held = 0
    known: Known | None = None
    _holder: OrgId = OrgId("")

    def __init__(self, scope: Scope, receive: Receive, *, most: BodyLimits = DEFAULT_BODY_LIMITS) -> None:
        super().__init__(scope, receive)
        self._most = most

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.held:
            self.app.state.held_bodies.let_go(self._holder, self.held)
            self.held = 0

    async def body(self) -> bytes:
        """The whole body. HTTPException: 413 too large, 408 too slow, 415 compressed. Busy: no memory for it."""
        if not hasattr(self, "_body"):
            self._refuse_by_head()
            try:
                self._body = await within(self.app.state.body_timeout, self._read())
            except TimeoutError:
                raise HTTPException(408, headers={"connection": "close"}) from None
        return self._body

    async def json(self) -> Any:
        """The body, parsed without loss. JSONDecodeError when it is not JSON, or has more values than its limits."""
        body = await self.body()
        # FastAPI answers a JSONDecodeError with 422 and its text, and anything else with 400 and no reason.
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
        """The body, in one piece. Errors as of `body`."""
        yield await self.body()

    def _refuse_by_head(self) -> None:
        # Here and not in an outer middleware, so that a refusal is JSON and has a request id.
        said = {name: value.decode("latin-1") for name, value in reversed(self.scope["headers"]) if name in _OF_BODIES}
        _refuse_coding(said.get(b"content-encoding", ""))
        limit = self.app.state.max_body_bytes
        if int(said.get(b"content-length") or 0) > limit:
            raise _too_large(limit)

    async def _read(self) -> bytes:
        limit = self.app.state.max_body_bytes
        pieces: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            self._hold(len(piece))
            pieces.append(piece)
            more = message.get("more_body", False)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _hold(self, size: int) -> None:
        if size:
            if not self.held:
                self._holder = self._org_id()
            self.app.state.held_bodies.hold(self._holder, size)
            self.held += size

    def _org_id(self) -> OrgId:
        """The caller's organisation; empty for routes that need no token."""
        found: Caller | None = getattr(self.state, "caller", None)
        return OrgId("") if found is None else found.org_id


class HeldBodies:
    """Limits the memory that request bodies take, by organisation.

    Each organisation may hold as many bytes as it leaves free: one alone half of all, two a third each, and so on, so
    there is always room for one more. A request is refused rather than made to wait, since it would hold memory while
    it waits.
    """

    def __init__(self, most: int = MAX_HELD_BYTES) -> None:
        self._free = most
        self._held: dict[OrgId, int] = {}

    def hold(self, org_id: OrgId, size: int) -> None:
        """Take so many bytes. Busy when the organisation has its share."""
        held = self._held.get(org_id, 0) + size
        if held > self._free - size:
            raise Busy("Too much that was sent is in memory already. Try again shortly.")
        self._held[org_id] = held
        self._free -= size

    def let_go(self, org_id: OrgId, size: int) -> None:
        """Give so many bytes back."""
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
    """The error for a body that cannot be parsed, with the parser's reason."""
    reason = error.msg if isinstance(error, orjson.JSONDecodeError) else str(error)
    return RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": _NOT_JSON.format(reason)}])


def refuse_packed(request: Request, *, unpacked: tuple[str, ...]) -> None:
    """HTTPException 415 for a body with a Content-Encoding other than `unpacked`."""
    _refuse_coding(request.headers.get("content-encoding", ""), unpacked)


def _refuse_coding(coding: str, unpacked: tuple[str, ...] = _PLAIN) -> None:
    if coding.strip().lower() not in unpacked:
        detail = "The body of this request has a Content-Encoding that is not read here; send it as it is."
        raise HTTPException(415, detail, headers={"accept-encoding": "identity"})


def _too_much(most: str) -> JSONDecodeError:
    sentence = f"There are more than {most} in the body, the limit of this request: send less at once."
    return JSONDecodeError(sentence, "", 0)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The request's body is too large: the limit is {limit} bytes.")
