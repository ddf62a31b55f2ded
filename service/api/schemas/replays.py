"""Bodies of requests for replays."""

from datetime import datetime

from pydantic import Field

from service.api.schemas.rules import AnswerClass, Channel, EventTypeName, Moment, Received, StatusCode, Tag
from service.domain.limits import MAX_LISTED_VALUES
from service.domain.replays import ReplayFilter


class ReplayIn(Received):
    """Messages of a span of time, by default up to now."""

    since: Moment
    until: Moment | None = None

    def end(self, now: datetime) -> datetime:
        """The end of the time span."""
        return self.until or now


class RecoverIn(ReplayIn):
    """Messages of a span of time, at most two weeks long, by default up to now."""


class BulkReplayIn(ReplayIn):
    """Messages of a span of time that fit every one of these."""

    event_types: list[EventTypeName] | None = Field(default=None, max_length=MAX_LISTED_VALUES)
    channel: Channel | None = None
    tag: Tag | None = None
    status: StatusCode | None = None
    status_code_class: AnswerClass | None = None

    def wanted(self) -> ReplayFilter:
        """The body as the domain's filter of messages."""
        return ReplayFilter(
            statuses=None if self.status is None else (self.status,),
            event_types=tuple(self.event_types) if self.event_types else None,
            channel=self.channel,
            tag=self.tag,
            status_code_class=self.status_code_class,
        )
