"""Maps errors to responses. The only module that knows the HTTP status of each error."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from service.api.protocol import ignored
from service.api.protocol.refusals import Misplaced, code_of
from service.api.schemas.words import Described
from service.domain import errors

STATUSES: dict[type[errors.RelevoError], int] = {
    errors.RelevoError: 400,
    errors.Refused: 400,
    errors.LimitReached: 400,
    errors.EndpointDisabled: 400,
    errors.DestinationNotEnabled: 400,
    errors.MissingPayload: 400,
    errors.InvalidRange: 400,
    errors.NoExample: 400,
    errors.UnusableSpecification: 400,
    errors.UnreadableFile: 400,
    errors.TaskCanceled: 400,  # never an answer: tasks say it
    errors.NotAuthenticated: 401,
    errors.NoToken: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.EventTypeExists: 409,
    errors.StillRunning: 409,
    errors.TaskEnded: 409,
    errors.Invalid: 422,
    errors.KeyReused: 422,
    Misplaced: 422,
    errors.Busy: 429,
    errors.NotOffered: 501,
    errors.Unavailable: 503,
    errors.LivesElsewhere: 503,
}

# The error that stands for a status in the OpenAPI document, where several errors have that status.
_TYPICAL: dict[int, type[errors.RelevoError]] = {
    400: errors.Refused,
    401: errors.NotAuthenticated,
    403: errors.NotAllowed,
    404: errors.NotFound,
    409: errors.Conflict,
    429: errors.Busy,
    503: errors.Unavailable,
}

MAX_FAULTS = 100  # in one response; a body may have many thousands
_DETAILS = {
    404: "There is no such path here. All there are, are shown at /docs.",
    405: "Method not allowed. What is allowed is in the Allow header.",
    408: "The request's body did not arrive in time.",
    413: "Request payload is too large.",
}
# Suffixes of pydantic's error types for values that are missing, of another type, or unparsable.
_UNREAD = ("missing", "_type", "_parsing", "_parsing_size", "_unicode", "_invalid", "_error", "enum", "_from_float")
# The expected value, for error types whose pydantic message names only what is wrong.
_TIME = "a time by RFC 3339, as in 2026-03-01T00:00:00Z"
_EXPECTED = {
    "bool_parsing": "true or false",
    "datetime_from_date_parsing": _TIME,
    "datetime_parsing": _TIME,
    "datetime_type": _TIME,
    "int_parsing": "a whole number",
}
_RULES = ("value_error", "assertion_error")


class Problem(Described, BaseModel):
    """What is wrong, for a program in `code` and for a person in `detail`."""

    code: str = Field(examples=["not_found"])
    detail: str = Field(examples=["Entity not found"])


class Fault(Described, BaseModel):
    """One value that breaks a rule; `loc` is the path to it."""

    loc: list[str] = Field(examples=[["body", "name"]])
    msg: str = Field(examples=["Field required"])
    type: str = Field(examples=["value_error.jsondecode"])


class Faults(Described, BaseModel):
    """Everything that is wrong with a request's values."""

    detail: list[Fault]


def answer_problems(app: FastAPI) -> None:
    """Register the handlers that answer every expected error in JSON."""
    app.add_exception_handler(errors.RelevoError, refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _broken_off)


def documented(*statuses: int, created: type[BaseModel] | None = None) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route for the OpenAPI document, and the 201 of a route that may create.

    Every route has 400, for an unreadable query string, and 503, for an unavailable database.
    """
    answers: dict[int | str, dict[str, Any]] = {201: {"model": created}} if created else {}
    return answers | {status: _documented(status) for status in (*statuses, 400, 401, 403, 422, 503)}


def documented_body() -> dict[int | str, dict[str, Any]]:
    """The error responses of a route that reads a body, for the OpenAPI document: 408 too slow, 413 too large,
    415 compressed, 429 too many bodies in memory."""
    return {status: _documented(status) for status in (408, 413, 415, 429)}


def status_of(error: errors.RelevoError) -> int:
    """The HTTP status of the error: that of its class, or of the nearest base class."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


async def refused(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that was refused with this error."""
    match error:
        case errors.Invalid():
            return _faults([Fault(loc=place_of(error), msg=error.detail, type=error.kind)], request)
        case errors.RelevoError():
            headers = _headers(error) | ignored.headers(request.scope)
            told = {"code": error.code, "detail": error.detail}
            return JSONResponse(told, status_code=status_of(error), headers=headers)
        case _:
            raise error


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = error.errors()
    unread = [fault for fault in faults if fault["loc"][0] == "query" and _is_unread(fault)]
    if unread:
        detail = "; ".join(f"{fault['loc'][-1]}: {_message(fault)}" for fault in unread)
        told = {"code": errors.RelevoError.code, "detail": detail}
        return JSONResponse(told, status_code=400, headers=ignored.headers(request.scope))
    return _faults([fault_of(fault) for fault in faults[:MAX_FAULTS]], request)


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status, headers = error.status_code, {name.lower(): value for name, value in (error.headers or {}).items()}
    if status == 405:
        headers["allow"] = ", ".join(methods_of(request))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    said = "" if error.detail == HTTPStatus(status).phrase else str(error.detail)
    return JSONResponse(_told(status, said=said), status_code=status, headers=headers)


def methods_of(request: Request) -> list[str]:
    """The methods that the request's path allows, over all its routes."""
    routes = [route for route in request.app.router.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({"OPTIONS"}.union(*(getattr(route, "methods", None) or () for route in routes)))


async def _broken_off(_request: Request, _error: Exception) -> JSONResponse:
    # Nobody reads this response, but logs and metrics then count a client error and not a server error.
    return JSONResponse({"code": errors.RelevoError.code, "detail": "The request's body broke off."}, status_code=400)


def place_of(error: errors.Invalid) -> list[str]:
    """The path to the value in the request: in the body under its JSON name, unless the error says otherwise."""
    match error:
        case Misplaced():
            return list(error.place)
        case errors.KeyReused():
            return ["header", "idempotency-key"]
        case _:
            return ["body", *map(to_camel, error.field)]


def _told(status: int, *, said: str = "") -> dict[str, str]:
    return {"code": code_of(status), "detail": said or _DETAILS.get(status) or HTTPStatus(status).phrase}


def fault_of(error: Any) -> Fault:
    """A fault from a pydantic error. The offending value is left out: it may be a secret, or not be JSON."""
    kind = "value_error.jsondecode" if _is_unread(error) else "value_error"
    return Fault(loc=[str(part) for part in error["loc"]], msg=_message(error), type=kind)


def _is_unread(error: Any) -> bool:
    """Whether the value is missing, of the wrong type or unparsable, rather than against one of our own rules."""
    return error["type"].endswith(_UNREAD) and error["type"] not in _RULES


def _message(error: Any) -> str:
    if error["type"] == "json_invalid" and "ctx" in error:
        return str(error["ctx"]["error"])  # FastAPI's own text is empty of the reason
    if expected := _EXPECTED.get(error["type"]):
        return f"Input should be {expected}"
    return str(error["msg"]).removeprefix("Value error, ").encode(errors="replace").decode()


def _documented(status: int) -> dict[str, Any]:
    """A response of that status, with an example of its body and of its headers."""
    if status == 422:
        return {"model": Faults}
    kind = _TYPICAL.get(status)
    told = _told(status) if kind is None else {"code": kind.code, "detail": kind.detail}
    headers = {} if kind is None else _headers(kind())
    return {
        "model": Problem,
        "content": {"application/json": {"example": told}},
        "headers": {name: {"schema": {"type": "string"}, "example": value} for name, value in headers.items()},
    }


def _faults(faults: Sequence[Fault], request: Request) -> JSONResponse:
    told = {"detail": [fault.model_dump() for fault in faults]}
    return JSONResponse(told, status_code=422, headers=ignored.headers(request.scope))


def _headers(error: errors.RelevoError) -> dict[str, str]:
    match error:
        case errors.Busy():
            return {"Retry-After": str(error.retry_after)}
        case errors.StillRunning():
            return {"Retry-After": "1"}
        case errors.NotAuthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}
