"""The `/admin` routes: change the log level for a while, and profile the event loop of a running process.

Every request needs RELEVO_ADMIN_TOKEN and is logged, whatever the log level. Without a token there are no routes.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service.observability.logging import Logging
from service.observability.profiling import Profiling, ProfilingUnderWay

MAX_LOG_LEVEL_S: Final = 3600.0
MAX_PROFILE_S: Final = 60.0
MAX_REQUEST_BYTES: Final = 1000

Handler = Callable[[Request], Awaitable[Response]]


class AdminRefusal(Exception):
    """The request is refused. Carries the HTTP status and the JSON body of the answer."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"code": code, "detail": detail}


class Admin:
    """The routes below `/admin`, for whoever sends the token. A log level set here is reset after the asked seconds."""

    def __init__(self, *, token: str, logging: Logging, profiling: Profiling) -> None:
        self._token = token.encode()
        self._logging = logging
        self._profiling = profiling
        self._usual = logging.level
        self._ending: asyncio.TimerHandle | None = None
        self._log = structlog.get_logger("relevo.admin")

    def routes(self) -> list[Route]:
        """The routes, for the server that also has the probes."""
        return [
            Route("/admin/log-level", self._guarded(self._read_level), include_in_schema=False),
            Route("/admin/log-level", self._guarded(self._set_level), methods=["PUT"], include_in_schema=False),
            Route("/admin/profile", self._guarded(self._profile), methods=["POST"], include_in_schema=False),
        ]

    def _guarded(self, handle: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                self._authorize(request)
                return await handle(request)
            except AdminRefusal as refused:
                self._tell("admin.refused", request, code=refused.body["code"])
                return JSONResponse(refused.body, refused.status)

        return answer

    def _authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._token):
            raise AdminRefusal(401, "authentication_failed", "Send the admin token as a bearer token.")

    async def _read_level(self, _: Request) -> Response:
        return self._shown_level()

    async def _set_level(self, request: Request) -> Response:
        wanted = await _wanted_level(request)
        try:
            self._logging.set_level(wanted.level)
        except ValueError as error:
            raise AdminRefusal(422, "invalid_level", str(error)) from None
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(wanted.seconds, self._reset_level)
        self._tell("admin.log_level", request, level=wanted.level, seconds=wanted.seconds)
        return self._shown_level()

    def _reset_level(self) -> None:
        self._ending = None
        self._logging.set_level(self._usual)
        self._log.info("admin.log_level_ended", audited=True, level=self._usual)

    def _shown_level(self) -> Response:
        left = None if self._ending is None else self._ending.when() - asyncio.get_running_loop().time()
        return JSONResponse({"level": self._logging.level, "secondsLeft": None if left is None else round(left, 1)})

    async def _profile(self, request: Request) -> Response:
        seconds = _seconds(request.query_params.get("seconds", "5"), most=MAX_PROFILE_S)
        as_text = request.query_params.get("format", "html") == "text"
        self._tell("admin.profile", request, seconds=seconds)
        try:
            profile = await self._profiling.profile(seconds, as_text=as_text)
        except ProfilingUnderWay:
            raise AdminRefusal(
                409, "profile_under_way", "Another profile is being taken; try again in a minute."
            ) from None
        return PlainTextResponse(profile) if as_text else HTMLResponse(profile)

    def _tell(self, event: str, request: Request, **fields: object) -> None:
        client = request.client.host if request.client else None
        self._log.warning(event, audited=True, client=client, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    level: str
    seconds: float


async def _wanted_level(request: Request) -> _Wanted:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_REQUEST_BYTES:
            raise AdminRefusal(413, "payload_too_large", 'Send {"level": "debug", "seconds": 600}.')
    try:
        asked = orjson.loads(body)
        level, seconds = asked["level"], asked.get("seconds", 600)
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        raise AdminRefusal(400, "invalid_body", 'Send {"level": "debug", "seconds": 600}.') from None
    return _Wanted(level=str(level), seconds=_seconds(seconds, most=MAX_LOG_LEVEL_S))


def _seconds(asked: object, *, most: float) -> float:
    try:
        seconds = float(str(asked))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= most:
        raise AdminRefusal(422, "invalid_seconds", f"Send seconds greater than 0 and at most {most:.0f}.")
    return seconds
