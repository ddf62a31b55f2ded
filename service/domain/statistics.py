"""Statistics: counts of attempts, event types that endpoints want, and the time windows that may be requested."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.errors import InvalidRange
from service.domain.ids import ApplicationId
from service.domain.limits import CLOCK_TOLERANCE
from service.domain.replays import Window

MAX_WINDOW = timedelta(days=28)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCounts:
    """Attempts that succeeded and failed, and deliveries that ended without one."""

    success: int
    fail: int
    canceled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How many attempts were made for an application."""

    app_id: ApplicationId
    app_uid: str | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriptions:
    """The event types that an application's endpoints want, and whether one of them wants all."""

    app_id: ApplicationId
    event_types: tuple[str, ...]
    catches_all: bool


def window(since: datetime | None, until: datetime | None, *, now: datetime) -> Window:
    """The requested window, by default the last four weeks. InvalidRange when it is too long or in the future.

    A time up to five minutes ahead of our clock counts as now, since the caller's clock may be ahead.
    """
    end = until or now
    begin = since or end - MAX_WINDOW
    if max(begin, end) > now + CLOCK_TOLERANCE:
        raise InvalidRange("`since` or `until` is in the future.")
    begin, end = min(begin, now), min(end, now)
    if not timedelta() <= end - begin <= MAX_WINDOW + CLOCK_TOLERANCE:
        raise InvalidRange(f"`since` must be before `until`, and by at most {MAX_WINDOW.days} days.")
    return Window(since=begin, until=end)
