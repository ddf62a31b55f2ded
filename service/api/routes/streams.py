"""Streaming responses: the export of an application's messages, and the live tail of its attempts."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, assert_never

import orjson
from fastapi import Header
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.routing import Match
from starlette.types import Scope

from service.api.dependencies import ServicesDep
from service.api.json_routes import ToldRoute
from service.api.lasting import AttemptReaderDep, LastingApplicationDep, ReadingDep, TokenHoldsDep
from service.api.operations import Operations
from service.api.parameters import WantedMessages, WantedOfTail
from service.api.problems import documented
from service.api.schemas.deliveries import MessageAttemptOut
from service.api.schemas.messages import fields_of
from service.api.services import Services
from service.application.ports.attempt_news import Missed
from service.application.streams import every_message
from service.application.tails import TailBegun, TailEnded, TailQuiet, Told, tail
from service.domain.deliveries import Attempt

_JSON = b"application/json"


class ExportRoute(ToldRoute):
    """The route of the export. Its path is also that of a message with the event id `export`, so a request that accepts
    only JSON gets the message."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """No match for a request that accepts only JSON."""
        if (b"accept", _JSON) in scope.get("headers", ()):
            return Match.NONE, {}
        return super().matches(scope)


router = Operations(prefix="/app/{app_id}", tags=["Message"], route_class=ToldRoute)

_NDJSON: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A `MessageOut` on each line, oldest first.",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"id":"msg_1srOrx2ZWZBpBUvZwXKQmoEYga2","eventType":"invoice.paid","payload":{"id":1}}\n',
            }
        },
    }
}
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events: `ready`, then an `attempt` for each, and `gap` where some could not be told.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": "event: ready\ndata: {}\n\n"}},
    }
}


async def export_messages(
    application: LastingApplicationDep, reading: ReadingDep, wanted: WantedMessages
) -> StreamingResponse:
    """Export the messages of an application. An answer that breaks off is not complete."""

    async def lines() -> AsyncIterator[bytes]:
        async with aclosing(every_message(application.id, reading, wanted)) as pages:
            async for page in pages:
                # A raw line break in JSON is white space between values; within a string it is written `\n`.
                shown = (orjson.dumps(fields_of(message, with_content=wanted.with_content)) for message in page)
                yield b"".join(line.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n" for line in shown)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


router.add_api_route(
    "/msg/export",
    export_messages,
    methods=["GET"],
    response_class=StreamingResponse,
    operation_id="v1.message.export",
    responses=documented(404) | _NDJSON,
    route_class_override=ExportRoute,
)


@router.get(
    "/attempt/tail",
    tags=["Message Attempt"],
    response_class=StreamingResponse,
    operation_id="v1.message-attempt.tail",
    responses=documented(404) | _EVENTS,
)
async def tail_attempts(
    *,
    application: LastingApplicationDep,
    reader: AttemptReaderDep,
    services: ServicesDep,
    token_holds: TokenHoldsDep,
    wanted: WantedOfTail,
    last_event_id: Annotated[str | None, Header(description="What a browser sends when it comes back.")] = None,
) -> StreamingResponse:
    """Follow the attempts of an application live, whichever process makes them, for as long as the token holds."""
    told = tail(application.id, services.attempt_news, reader, may_listen=token_holds, wanted=wanted)
    events = _events(told, services, came_back=last_event_id is not None)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(told: AsyncGenerator[Told, None], services: Services, *, came_back: bool) -> AsyncIterator[bytes]:
    async with aclosing(told):
        async for what in told:
            match what:
                case TailBegun():
                    yield _event("ready", {})
                    if came_back:
                        yield _event("gap", {"missed": None})
                case Attempt():
                    yield _event("attempt", attempt_told(what, services), event_id=what.id)
                case Missed(count=count):
                    yield _event("gap", {"missed": count})
                case TailQuiet():
                    yield KEEPALIVE_COMMENT
                case TailEnded():
                    return
                case _:
                    assert_never(what)


def attempt_told(attempt: Attempt, services: Services) -> Any:
    """An attempt as every tail tells it."""
    shown = MessageAttemptOut.of(attempt, trace_url=services.trace_url)
    return shown.model_dump(mode="json", by_alias=True)


def _event(name: str, data: Any, *, event_id: str | None = None) -> bytes:
    return format_sse_event(event=name, data_str=orjson.dumps(data).decode(), id=event_id)
