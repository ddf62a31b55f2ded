"""Owing messages to an endpoint once more: one statement looks at a stretch of them and owes those that are meant.

The cost of a stretch is that of the rows it looks at, not of those it finds. A message is owed under the task's id,
so a stretch that is done twice owes nothing twice. What it owes knows the attempt before, to link its trace to.
What stands undelivered is owed until any attempt delivers it, what was delivered is owed `again`.
"""

from typing import Any

from service.adapters.postgres.server.statements import Statement, beside
from service.adapters.postgres.server.transaction import Transaction
from service.domain.endpoints import Endpoint
from service.domain.ids import TaskId
from service.domain.replays import Covered, ReplayFilter, Stretch

_statements = beside(__name__)
ALONE, SENT, MISSING = _statements["alone"], _statements["sent"], _statements["missing"]


class PostgresReplays:
    """Fulfils `ports.ReplayRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def sent(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch, wanted: ReplayFilter) -> Covered:
        """Of the messages that the endpoint was sent, those that are meant and still have their payload."""
        parameters = _parameters(endpoint, task_id, stretch) | {
            "statuses": None if wanted.statuses is None else [int(status) for status in wanted.statuses],
            "event_types": None if wanted.event_types is None else list(wanted.event_types),
            "channel": wanted.channel,
            "tag": wanted.tag,
            "code_class": wanted.status_code_class,
            "untried_since": wanted.untried_since,
        }
        return await self._replayed(SENT, parameters)

    async def missing(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch) -> Covered:
        """Those of the application's messages that the endpoint wants, and was never sent nor is owed."""
        parameters = _parameters(endpoint, task_id, stretch) | {
            "event_types": None if endpoint.event_types is None else list(endpoint.event_types),
            "channels": None if endpoint.channels is None else list(endpoint.channels),
        }
        return await self._replayed(MISSING, parameters)

    async def _replayed(self, statement: Statement, parameters: dict[str, Any]) -> Covered:
        await self._transaction.execute_driver(*ALONE(endpoint=parameters["endpoint"]))
        row = (await self._transaction.execute_driver(*statement(**parameters))).one()
        if row.found:
            self._transaction.delivery_due()
        return Covered(count=row.found, reached=row.reached)


def _parameters(endpoint: Endpoint, task_id: TaskId, stretch: Stretch) -> dict[str, Any]:
    return {
        "endpoint": endpoint.id,
        "app": endpoint.app_id,
        "org": endpoint.org_id,
        "task": task_id,
        "after": stretch.after,
        "until": stretch.until,
        "size": stretch.size,
    }
