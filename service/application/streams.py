"""Reads all items of a kind, page by page, so that memory is bounded and no transaction lasts."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from service.application.ports.pages import MAX_PAGE_BYTES, MessageFilter, PageRequest
from service.application.ports.unit_of_work import UnitOfWork
from service.domain.event_types import EventType
from service.domain.ids import ApplicationId, OrgId
from service.domain.messages import Message

MIN_PAGE_ITEMS, MAX_PAGE_ITEMS = 4, 500


async def every_message(
    app_id: ApplicationId, work: UnitOfWork, wanted: MessageFilter
) -> AsyncGenerator[Sequence[Message], None]:
    """The application's messages, oldest first, in pages of a bounded size. Between pages no transaction is open."""
    page, done = PageRequest(limit=MIN_PAGE_ITEMS, ascending=True), False
    while not done:
        found = await work.messages.page(app_id, page, wanted)
        await work.rollback()
        done = found.done
        if found.items:
            yield found.items
            page = replace(page, after=found.items[-1].id, limit=_next_limit(found.items, page.limit))


async def every_event_type(org_id: OrgId, work: UnitOfWork) -> AsyncGenerator[Sequence[EventType], None]:
    """The organisation's event types by name, including archived ones, in pages of a bounded size; at least one page,
    which may be empty. Between pages no transaction is open."""
    page, done = PageRequest(limit=MAX_PAGE_ITEMS, ascending=True), False
    while not done:
        found = await work.event_types.page(org_id, page, include_archived=True)
        await work.rollback()
        yield found.items
        done = found.done
        if not done:
            page = replace(page, after=found.items[-1].name)


def _next_limit(items: Sequence[Message], limit: int) -> int:
    """The next page's number of items: as many as fit by these items' size, and at most four times as many as now."""
    size = sum(len(message.payload or b"") for message in items) / len(items)
    fitting = int(MAX_PAGE_BYTES / max(size, 1))
    return max(MIN_PAGE_ITEMS, min(fitting, limit * 4, MAX_PAGE_ITEMS))
