"""Sending again what an endpoint was sent, or never was: which messages are meant."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.deliveries import Status
from service.domain.ids import MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFilter:
    """Of the messages that an endpoint was sent, those that are meant. `statuses` is how their deliveries stand.

    `status_code_class` is that of the latest attempt: 0, 100, ... 500. With `untried_since`, the least identifier of an
    attempt, what was tried since is left out, and what is owed a manual attempt already.
    """

    statuses: tuple[Status, ...] | None = None
    event_types: tuple[str, ...] | None = None
    channel: str | None = None
    tag: str | None = None
    status_code_class: int | None = None
    untried_since: str | None = None


LONGEST_RECOVERY = timedelta(days=14)
UNDELIVERED = ReplayFilter(statuses=(Status.FAIL, Status.SENDING, Status.CANCELED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Messages between two moments, the lower bound left out, of which the next `size` are looked at."""

    after: MessageId
    until: MessageId
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """What came of one stretch: how many of its messages were meant, and the last one that was looked at."""

    count: int
    reached: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time, both ends included."""

    since: datetime
    until: datetime
