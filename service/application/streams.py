"""Reading everything there is, a page at a time, so that neither memory nor a transaction grows with it."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from service.application.ports.pages import MOST_BYTES, MessageFilter, PageRequest
from service.application.ports.unit_of_work import UnitOfWork
from service.domain.event_types import EventType
from service.domain.ids import ApplicationId, OrgId
from service.domain.messages import Message

SMALLEST_PAGE, LARGEST_PAGE = 4, 500


async def every_message(
    app_id: ApplicationId, work: UnitOfWork, wanted: MessageFilter
) -> AsyncGenerator[Sequence[Message], None]:
    """The application's messages, oldest first, in pages of a bounded size. Between pages no transaction is open."""
    page, done = PageRequest(limit=SMALLEST_PAGE, ascending=True), False
    while not done:
        found = await work.messages.page(app_id, page, wanted)
        await work.rollback()
        done = found.done
        if found.items:
            yield found.items
            page = replace(page, after=found.items[-1].id, limit=_next_limit(found.items, page.limit))


async def every_event_type(org_id: OrgId, work: UnitOfWork) -> AsyncGenerator[Sequence[EventType], None]:
    """The organisation's event types by name, archived ones included, in pages of a bounded size: one at least, be it
    empty. Between pages no transaction is open."""
    page, done = PageRequest(limit=LARGEST_PAGE, ascending=True), False
    while not done:
        found = await work.event_types.page(org_id, page, include_archived=True)
        await work.rollback()
        yield found.items
        done = found.done
        if not done:
            page = replace(page, after=found.items[-1].name)


def _next_limit(items: Sequence[Message], limit: int) -> int:
    """As many as fit by the size of these, and never many times as many at once."""
    size = sum(len(message.payload or b"") for message in items) / len(items)
    fitting = int(MOST_BYTES / max(size, 1))
    return max(SMALLEST_PAGE, min(fitting, limit * 4, LARGEST_PAGE))
