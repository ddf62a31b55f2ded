"""Statistics: counts of attempts, event types that endpoints want, and the time windows that may be requested."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.errors import InvalidRange
from service.domain.ids import ApplicationId, EndpointId, OrgId
from service.domain.limits import CLOCK_TOLERANCE
from service.domain.replays import Window

Owner = OrgId | ApplicationId | EndpointId  # whose hours are counted

MAX_WINDOW = timedelta(days=28)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCounts:
    """Attempts that succeeded and failed, and deliveries that ended without one."""

    success: int
    fail: int
    canceled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HourCounts:
    """What happened in an hour: messages that were accepted, attempts that succeeded and failed, deliveries that were
    given up after their last attempt, and those that ended without one. `milliseconds` is what the attempts took.

    Of an endpoint nothing is accepted; of others no time is known.
    """

    hour: datetime
    accepted: int = 0
    success: int = 0
    fail: int = 0
    exhausted: int = 0
    canceled: int = 0
    milliseconds: int = 0


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


def every_hour(found: Iterable[HourCounts], *, until: datetime, lasting: timedelta) -> list[HourCounts]:
    """The hours of the time before `until`, with those of `found`, and zeros for all others."""
    known = {one.hour: one for one in found}
    last = until.replace(minute=0, second=0, microsecond=0)
    hours = [last - timedelta(hours=ago) for ago in range(int(lasting.total_seconds() // 3600), -1, -1)]
    return [known.get(hour) or HourCounts(hour=hour) for hour in hours]


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
