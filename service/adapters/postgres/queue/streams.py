"""Reads the stream of an application's messages, in the order of their commits."""

from collections.abc import Sequence
from typing import Any, cast

from service.adapters.postgres.server.statements import beside
from service.application.ports.ordered import Extent, Passage
from service.domain.batches import StreamMessage
from service.domain.ids import ApplicationId

SCANNED = 5_000  # positions at most in one passage, however few of them are wanted

_statements = beside(__name__)
READ_STREAM, POSITION_AT = _statements["read_stream"], _statements["position_at"]


def reading(app_id: ApplicationId, extent: Extent, *, after: int) -> tuple[object, ...]:
    """The statement that reads a passage, with its parameters."""
    return READ_STREAM(
        app=app_id,
        after=after,
        scanned=SCANNED,
        most=extent.messages,
        payload_bytes=extent.payload_bytes,
        event_types=None if extent.event_types is None else list(extent.event_types),
        channels=None if extent.channels is None else list(extent.channels),
    )


def passage_of(rows: Sequence[Any], extent: Extent, *, after: int) -> Passage:
    """The passage in these rows."""
    if not rows:  # nothing was ever numbered
        return Passage(messages=(), through=after, ended=True)
    found = [row for row in rows if row["position"] is not None]
    through = max(after, _through(rows[0], found, extent))
    return Passage(
        messages=tuple(_message(row) for row in found if row["payload"] is not None),
        through=through,
        ended=through >= rows[0]["head"],
        expired=sum(row["payload"] is None for row in found),
    )


def _through(first: Any, found: Sequence[Any], extent: Extent) -> int:
    """The position up to which nothing that is wanted was left out."""
    if found and (len(found) == extent.messages or len(found) < found[0]["candidates"]):
        return cast("int", found[-1]["position"])
    if first["after"] is None:
        return cast("int", first["head"])
    return min(cast("int", first["after"]) + SCANNED, cast("int", first["head"]))


def _message(row: Any) -> StreamMessage:
    return StreamMessage(
        position=row["position"],
        id=row["message_id"],
        event_type=row["event_type"],
        payload=row["payload"],
        created_at=row["created_at"],
        event_id=row["event_id"],
        channels=tuple(row["channels"] or ()),
        tags=tuple(row["tags"] or ()),
        deliver_at=row["deliver_at"],
        content_type=row["content_type"],
        traceparent=row["traceparent"],
        correlation_id=row["correlation_id"],
    )
