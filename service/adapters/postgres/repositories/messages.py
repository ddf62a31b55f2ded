"""Accepted messages in PostgreSQL, for reading. The intake (`queue/intake.py`) writes them."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, Select, func, literal, select

from service.adapters.postgres.repositories.delivery_states import messages_standing
from service.adapters.postgres.repositories.filters import messages_wanted, narrows, within
from service.adapters.postgres.repositories.pages import keyset, page_of, within_bytes
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import MessageFilter, Page, PageRequest
from service.domain import ids
from service.domain.ids import ApplicationId, MessageId
from service.domain.messages import Message

_table = tables.message
_head = [_table.c[name] for name in ("id", "app_id", "event_id", "event_type", "channels", "tags", "deliver_at")]


class PostgresMessages:
    """Fulfils `ports.MessageRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def get(self, app_id: ApplicationId, ref: str, *, with_content: bool) -> Message | None:
        """The message with this id or event id."""
        statement = select_messages(with_content=with_content).where(_table.c.app_id == app_id)
        # An event id never begins with the prefix of an id. The table `event_id` gives the id, and so the partition.
        if ref.startswith(ids.MESSAGE):
            statement = statement.where(_table.c.id == ref)
        else:
            known = tables.event_id.c
            named = select(known.message_id).where(known.app_id == app_id, known.event_id == ref)
            statement = statement.where(_table.c.id == named.scalar_subquery())
        row = (await self._transaction.execute(statement)).first()
        return message_of(row) if row else None

    async def page(self, app_id: ApplicationId, page: PageRequest, wanted: MessageFilter) -> Page[Message]:
        """Messages by id, which is by time."""
        statement = select_messages(with_content=wanted.with_content)
        statement = statement.where(_table.c.app_id == app_id, *within(_table.c.id, ids.MESSAGE, wanted))
        if wanted.standing is not None or narrows(wanted):
            select_ids = messages_wanted if wanted.standing is None else messages_standing
            found = select_ids(app_id, page, wanted)
            statement = statement.join(found, found.c.id == _table.c.id)
        result = await self._transaction.execute(page_with_payloads(statement, page, wanted))
        return page_of(result.all(), page, message_of)

    async def by_ids(self, app_id: ApplicationId, message_ids: Collection[MessageId]) -> Sequence[Message]:
        """The messages with these ids that exist, without payloads."""
        statement = select_messages(with_content=False).where(_table.c.app_id == app_id, _table.c.id.in_(message_ids))
        return [message_of(row) for row in await self._transaction.execute(statement)]


def select_messages(*, with_content: bool) -> Select[Any]:
    """The columns that `message_of` reads; without content, payloads are not read."""
    return select(*_head, _table.c.payload if with_content else literal(None).label("payload"))


def page_with_payloads(statement: Select[Any], page: PageRequest, wanted: MessageFilter) -> Select[Any]:
    """The page of `select_messages` by id, bounded in bytes."""
    found = keyset(statement, _table.c.id, page)
    if not wanted.with_content:
        return found
    return within_bytes(found, lambda rows: func.coalesce(func.octet_length(rows.c.payload), 0), "id", page)


def message_of(row: Row[Any]) -> Message:
    """The message in a row of `select_messages`."""
    return Message(
        id=row.id,
        app_id=row.app_id,
        event_id=row.event_id,
        event_type=row.event_type,
        payload=row.payload,
        channels=tuple(row.channels) if row.channels is not None else None,
        tags=tuple(row.tags) if row.tags is not None else None,
        deliver_at=row.deliver_at,
    )
