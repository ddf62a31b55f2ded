"""Refusals before a request reaches the app, and their responses: JSON with a request id, as all refusals are."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from starlette.datastructures import Headers

from service.domain.errors import Invalid, RelevoError
from service.observability.correlation import REQUEST_ID, correlation_id

MAX_FIELDS = 256
_CODES = {
    404: "no_such_path",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    415: "unsupported_media_type",
    431: "request_header_fields_too_large",
    501: "not_implemented",
    505: "http_version_not_supported",
}

Fields = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: an HTTP status of 400 or more, a sentence for the caller, and lines that the head of
    the answer has besides."""

    status: int
    detail: str
    lines: tuple[str, ...] = ()


class Misplaced(Invalid):
    """An invalid value outside the body: `place` is its path, as in `("query", "limit")`."""

    def __init__(self, detail: str, *, place: tuple[str, ...], kind: str = "value_error") -> None:
        super().__init__(detail, field=place[1:], kind=kind)
        self.place = place


@dataclass(frozen=True, slots=True)
class RefusalAnswer:
    """The bytes of a response after which the connection is closed, and its request id."""

    request_id: str
    written: bytes


def too_large(most_bytes: int) -> Refusal:
    """The refusal of a head that is too large, or of too many bytes beside a body."""
    return Refusal(431, f"The limit of a request's head is {most_bytes} bytes and {MAX_FIELDS} fields.")


def answer_to(refusal: Refusal, fields: Fields) -> RefusalAnswer:
    """The response to a request with these header fields, as far as they were read."""
    request_id = correlation_id(Headers(raw=list(fields)), fresh=_fresh)
    body = orjson.dumps({"code": code_of(refusal.status), "detail": refusal.detail})
    lines = (
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"{REQUEST_ID}: {request_id}",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        *refusal.lines,
        "connection: close",
        "\r\n",
    )
    return RefusalAnswer(request_id, "\r\n".join(lines).encode() + body)


def code_of(status: int) -> str:
    """The `code` in the response for a status that no error of the domain causes."""
    return _CODES.get(status, RelevoError.code)


def _fresh() -> str:
    return os.urandom(16).hex()
