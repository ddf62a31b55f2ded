"""What a list is asked for and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, Self, TypeVar

from service.domain import ids
from service.domain.background_tasks import TaskStatus
from service.domain.deliveries import Status
from service.domain.ids import EndpointId
from service.domain.limits import DEFAULT_PAGE_ITEMS
from service.domain.retention import PAYLOADS_KEPT

T = TypeVar("T")

MOST_BYTES = 4 * 1024 * 1024  # of payloads on a page, which has one item at least
BACK = "-"  # before the key in an iterator that leads back
AHEAD = timedelta(hours=1)  # the clocks of others may be
ONWARDS = "~"  # before a key in one that leads on, when the key itself begins with BACK


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Where to read on. `after` is the key of the last item seen; `backwards` reads towards the start of the list."""

    limit: int = DEFAULT_PAGE_ITEMS
    after: str | None = None
    backwards: bool = False
    ascending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Items in display order. `done` tells that nothing follows in the direction that was read."""

    items: Sequence[T]
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationFilter:
    """Which applications to leave out of a list: those without endpoints, those whose endpoints are all disabled."""

    without_endpoints: bool = False
    all_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages to list: those before `before`, and from `after` on."""

    before: datetime | None = None
    after: datetime | None = None
    channel: str | None = None
    tag: str | None = None
    event_types: tuple[str, ...] | None = None
    with_content: bool = True

    def within_reach(self, page: PageRequest, *, now: datetime) -> Self:
        """The same, within 90 days of now or of the place to read on from where no time is named; never far ahead."""
        latest = now + AHEAD
        if self.before is not None or self.after is not None:
            # An `after` alone is where a list opens, which a `before` would hide.
            return self if self.before is None else replace(self, before=min(self.before, latest))
        place = now if page.after is None else ids.time_of(page.after)
        return replace(self, after=place - PAYLOADS_KEPT, before=min(place + PAYLOADS_KEPT, latest))

    def opening(self, page: PageRequest, prefix: str) -> PageRequest:
        """The page, which for `after` alone begins there: who follows the news reads on from it and misses none."""
        if self.after is None or self.before is not None or page.after is not None:
            return page
        return replace(page, after=ids.lowest(prefix, self.after), backwards=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter(MessageFilter):
    """Which attempts to list. `status_code_class` is 0, 100, ... 500."""

    status: Status | None = None
    status_code_class: int | None = None
    endpoint_id: EndpointId | None = None

    def of_endpoint(self, endpoint_id: EndpointId) -> "AttemptFilter":
        """The same, of one endpoint."""
        return replace(self, endpoint_id=endpoint_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which background tasks to list."""

    status: TaskStatus | None = None
    kind: str | None = None
