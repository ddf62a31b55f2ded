"""Removes payloads of messages and answers of receivers."""

from collections.abc import Collection

from sqlalchemy import null, select, update

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.statements import beside
from service.adapters.postgres.server.transaction import Transaction
from service.domain import ids
from service.domain.deliveries import Attempt
from service.domain.ids import ApplicationId, MessageId
from service.domain.replays import Covered, Stretch

EXPUNGED = "EXPUNGED"

_message = tables.message
_attempt = tables.attempt
_event_id = tables.event_id

EXPUNGE_ALL = beside(__name__)["expunge_all"]


class PostgresContents:
    """Fulfils `ports.ContentRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def expunge(self, app_id: ApplicationId, message_ids: Collection[MessageId]) -> None:
        """Remove these payloads."""
        await self._transaction.execute(
            update(_message).where(_message.c.app_id == app_id, _message.c.id.in_(message_ids)).values(payload=null())
        )

    async def named(self, app_id: ApplicationId, refs: Collection[str]) -> dict[str, MessageId]:
        """The messages with these ids or event ids; unknown ones are missing."""
        by_id = [ref for ref in refs if ref.startswith(ids.MESSAGE)]
        by_event_id = [ref for ref in refs if not ref.startswith(ids.MESSAGE)]
        statement = select(_message.c.id).where(_message.c.app_id == app_id, _message.c.id.in_(by_id))
        found = {row.id: row.id for row in await self._transaction.execute(statement)}
        named = select(_event_id).where(_event_id.c.app_id == app_id, _event_id.c.event_id.in_(by_event_id))
        return found | {row.event_id: row.message_id for row in await self._transaction.execute(named)}

    async def expunge_attempt(self, attempt: Attempt, app_id: ApplicationId) -> None:
        """Remove the receiver's answer, and the headers of request and answer."""
        await self._transaction.execute(
            update(_attempt)
            .where(_attempt.c.app_id == app_id, _attempt.c.id == attempt.id)
            .values(response=EXPUNGED, request_headers=null(), response_headers=null())
        )

    async def expunge_all(self, app_id: ApplicationId, stretch: Stretch) -> Covered:
        """Remove the payloads of the stretch's messages. Counts those that had one."""
        expunging = EXPUNGE_ALL(app=app_id, after=stretch.after, until=stretch.until, size=stretch.size)
        row = (await self._transaction.execute_driver(*expunging)).one()
        return Covered(count=row.found, reached=row.reached)
