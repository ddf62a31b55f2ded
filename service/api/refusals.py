"""Answers to what never became a request: JSON and a request's id, as every other refusal has them."""

import os
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from starlette.datastructures import Headers

from service.api.heads import Fields, Refusal
from service.api.problems import code_of
from service.observability.correlation import REQUEST_ID, correlation_id


@dataclass(frozen=True, slots=True)
class RefusalAnswer:
    """The bytes of an answer after which the connection is closed, and the id by which it is known."""

    request_id: str
    written: bytes


def answer_to(refusal: Refusal, fields: Fields) -> RefusalAnswer:
    """The answer to what had these header fields, as far as they were read."""
    request_id = correlation_id(Headers(raw=list(fields)), fresh=_fresh)
    body = orjson.dumps({"code": code_of(refusal.status), "detail": refusal.detail})
    lines = (
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"{REQUEST_ID}: {request_id}",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "connection: close",
        "\r\n",
    )
    return RefusalAnswer(request_id, "\r\n".join(lines).encode() + body)


def _fresh() -> str:
    return os.urandom(16).hex()
