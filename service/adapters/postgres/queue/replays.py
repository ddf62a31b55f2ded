"""Replays: one statement examines a stretch of messages and queues manual deliveries for those selected.

A stretch costs what it examines, not what it selects. Deliveries are queued under the task's id, so a repeated stretch
queues nothing twice. They carry the previous attempt's traceparent, to link the traces. A delivery of an undelivered
message ends with any success; one of a delivered message (`again`) only with its own. Without a task a statement
queues nothing and counts.
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
        """Queue the messages of the stretch that the endpoint was sent, that match, and that have their payload."""
        return await self._queued(SENT, _sent(endpoint, task_id, stretch, wanted))

    async def missing(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch) -> Covered:
        """Queue the messages of the stretch that the endpoint wants, was never sent and has no pending delivery of."""
        return await self._queued(MISSING, _missing(endpoint, task_id, stretch))

    async def count_sent(self, endpoint: Endpoint, stretch: Stretch, wanted: ReplayFilter) -> Covered:
        """Count what `sent` would queue of the stretch."""
        return await self._covered(SENT, _sent(endpoint, None, stretch, wanted))

    async def count_missing(self, endpoint: Endpoint, stretch: Stretch) -> Covered:
        """Count what `missing` would queue of the stretch."""
        return await self._covered(MISSING, _missing(endpoint, None, stretch))

    async def _queued(self, statement: Statement, parameters: dict[str, Any]) -> Covered:
        await self._transaction.execute_driver(*ALONE(endpoint=parameters["endpoint"]))
        covered = await self._covered(statement, parameters)
        if covered.count:
            self._transaction.delivery_due()
        return covered

    async def _covered(self, statement: Statement, parameters: dict[str, Any]) -> Covered:
        row = (await self._transaction.execute_driver(*statement(**parameters))).one()
        return Covered(count=row.found, reached=row.reached)


def _sent(endpoint: Endpoint, task_id: TaskId | None, stretch: Stretch, wanted: ReplayFilter) -> dict[str, Any]:
    return _parameters(endpoint, task_id, stretch) | {
        "statuses": None if wanted.statuses is None else [int(status) for status in wanted.statuses],
        "event_types": None if wanted.event_types is None else list(wanted.event_types),
        "channel": wanted.channel,
        "tag": wanted.tag,
        "code_class": wanted.status_code_class,
        "untried_since": wanted.untried_since,
    }


def _missing(endpoint: Endpoint, task_id: TaskId | None, stretch: Stretch) -> dict[str, Any]:
    return _parameters(endpoint, task_id, stretch) | {
        "event_types": None if endpoint.event_types is None else list(endpoint.event_types),
        "channels": None if endpoint.channels is None else list(endpoint.channels),
    }


def _parameters(endpoint: Endpoint, task_id: TaskId | None, stretch: Stretch) -> dict[str, Any]:
    return {
        "endpoint": endpoint.id,
        "app": endpoint.app_id,
        "org": endpoint.org_id,
        "task": task_id,
        "after": stretch.after,
        "until": stretch.until,
        "size": stretch.size,
    }
