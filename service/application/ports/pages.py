"""Pages of lists: what is requested, which items, and the result."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, Self, TypeVar

from service.domain import ids
from service.domain.background_tasks import TaskStatus
from service.domain.deliveries import Status
from service.domain.ids import ApplicationId, EndpointId
from service.domain.limits import DEFAULT_PAGE_ITEMS
from service.domain.retention import PAYLOADS_KEPT

T = TypeVar("T")

STANDING = (Status.SUCCESS, Status.FAIL, Status.SENDING, Status.CANCELED)  # by which messages are found

MAX_PAGE_BYTES = 4 * 1024 * 1024  # of payloads on a page; a page has at least one item
BACKWARDS_MARK = "-"  # prefix of an iterator that reads backwards
CLOCK_TOLERANCE = timedelta(hours=1)  # how far other clocks may be ahead
FORWARDS_MARK = "~"  # prefix of an iterator that reads forwards, when its key begins with BACKWARDS_MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page to read. `after` is the key of the last item seen; `backwards` reads towards the start of the list."""

    limit: int = DEFAULT_PAGE_ITEMS
    after: str | None = None
    backwards: bool = False
    ascending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Items in display order. `done` means that no items follow in the direction that was read."""

    items: Sequence[T]
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationFilter:
    """Which applications to leave out of a list: those without endpoints, those whose endpoints are all disabled."""

    without_endpoints: bool = False
    all_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages to list: those before `before`, and from `after` on, of which a delivery is as
    `standing` says."""

    before: datetime | None = None
    after: datetime | None = None
    channel: str | None = None
    tag: str | None = None
    event_types: tuple[str, ...] | None = None
    standing: Status | None = None
    with_content: bool = True

    def within_reach(self, page: PageRequest, *, now: datetime) -> Self:
        """The same filter, bounded: without times, to 90 days around the page's start; never to more than an hour
        ahead."""
        latest = now + CLOCK_TOLERANCE
        if self.before is not None or self.after is not None:
            # An `after` alone opens a list for new items, which a `before` would hide.
            return self if self.before is None else replace(self, before=min(self.before, latest))
        place = now if page.after is None else ids.time_of(page.after)
        return replace(self, after=place - PAYLOADS_KEPT, before=min(place + PAYLOADS_KEPT, latest))

    def opening(self, page: PageRequest, prefix: str) -> PageRequest:
        """The page request; with `after` alone it starts there and reads towards newer items, so that none is
        missed."""
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
class AuditFilter:
    """Which audit events to list: those before `before`, and from `after` on; of one action, of one application."""

    before: datetime | None = None
    after: datetime | None = None
    action: str | None = None
    app_id: ApplicationId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which background tasks to list."""

    status: TaskStatus | None = None
    kind: str | None = None
