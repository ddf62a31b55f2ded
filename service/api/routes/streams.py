"""Streaming responses: the export of an application's messages, and the live tail of its attempts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Annotated, Any

import orjson
from fastapi import Header
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.routing import Match
from starlette.types import Scope

from service.api.dependencies import ServicesDep
from service.api.json_routes import ToldRoute
from service.api.lasting import AttemptReaderDep, LastingApplicationDep, ReadingDep, TokenHolds, TokenHoldsDep
from service.api.operations import Operations
from service.api.parameters import WantedMessages
from service.api.problems import documented
from service.api.schemas.deliveries import MessageAttemptOut
from service.api.schemas.messages import fields_of
from service.api.services import Services
from service.application.ports.attempt_news import Missed
from service.application.streams import every_message
from service.application.tails import AttemptReader
from service.domain.ids import ApplicationId, AttemptId

HEARTBEAT_INTERVAL_S = 15.0

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
    application: LastingApplicationDep,
    reader: AttemptReaderDep,
    services: ServicesDep,
    token_holds: TokenHoldsDep,
    last_event_id: Annotated[str | None, Header(description="What a browser sends when it comes back.")] = None,
) -> StreamingResponse:
    """Follow the attempts of an application live, whichever process makes them, for as long as the token holds."""
    events = _events(application.id, services, reader, token_holds, came_back=last_event_id is not None)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    app_id: ApplicationId, services: Services, reader: AttemptReader, token_holds: TokenHolds, *, came_back: bool
) -> AsyncIterator[bytes]:
    async with services.attempt_news.follow(app_id) as follower:
        yield _event("ready", {})
        if came_back:
            yield _event("gap", {"missed": None})
        while True:
            heard: Sequence[AttemptId] | Missed | None = ()
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_INTERVAL_S):
                    heard = await follower.next()
            if heard is None or not await token_holds():
                return
            match heard:
                case Missed(count=count):
                    yield _event("gap", {"missed": count})
                case ():
                    yield KEEPALIVE_COMMENT
                case attempt_ids:
                    for attempt in await reader.attempts(app_id, attempt_ids):
                        shown = MessageAttemptOut.of(attempt, trace_url=services.trace_url)
                        yield _event("attempt", shown.model_dump(mode="json", by_alias=True), event_id=attempt.id)


def _event(name: str, data: Any, *, event_id: str | None = None) -> bytes:
    return format_sse_event(event=name, data_str=orjson.dumps(data).decode(), id=event_id)
