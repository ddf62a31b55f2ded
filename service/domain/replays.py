"""Replays: sending an endpoint again messages that it was sent, or that it missed, and which messages these are."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.deliveries import Status
from service.domain.ids import MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFilter:
    """Selects among the messages that an endpoint was sent. `statuses` are those of their deliveries.

    `status_code_class` is that of the latest attempt: 0, 100, ... 500. `untried_since` is the lowest attempt id of a
    time: messages attempted since then, or with a pending manual attempt, are left out.
    """

    statuses: tuple[Status, ...] | None = None
    event_types: tuple[str, ...] | None = None
    channel: str | None = None
    tag: str | None = None
    status_code_class: int | None = None
    untried_since: str | None = None


MAX_RECOVERY = timedelta(days=14)
UNDELIVERED = ReplayFilter(statuses=(Status.FAIL, Status.SENDING, Status.CANCELED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A range of message ids, without the lower bound, of which a batch examines the next `size`."""

    after: MessageId
    until: MessageId
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """The result of a batch: how many messages were selected, and the last one that was examined."""

    count: int
    reached: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPreview:
    """How many messages a replay would send if it began now.

    Unless it is `complete`, only the first messages of the time span were examined, and there may be more.
    """

    count: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time window, both ends included."""

    since: datetime
    until: datetime
