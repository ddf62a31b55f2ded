"""Counts of what became of attempts, and what endpoints want: plain values and the windows they may be asked for."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.errors import InvalidRange
from service.domain.ids import ApplicationId
from service.domain.limits import CLOCKS_DIFFER
from service.domain.replays import Window

LONGEST_WINDOW = timedelta(days=28)


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
    """The event types that an application's endpoints name, and whether one of them wants all."""

    app_id: ApplicationId
    event_types: tuple[str, ...]
    catches_all: bool


def window(since: datetime | None, until: datetime | None, *, now: datetime) -> Window:
    """The window that is meant: by default the last four weeks. InvalidRange when it is too long or not over yet.

    Whoever has a clock a little ahead of ours means now when it says so: the window ends with now then.
    """
    end = until or now
    begin = since or end - LONGEST_WINDOW
    if max(begin, end) > now + CLOCKS_DIFFER:
        raise InvalidRange("`since` or `until` is in the future.")
    begin, end = min(begin, now), min(end, now)
    if not timedelta() <= end - begin <= LONGEST_WINDOW + CLOCKS_DIFFER:
        raise InvalidRange(f"`since` must be before `until`, and by at most {LONGEST_WINDOW.days} days.")
    return Window(since=begin, until=end)
