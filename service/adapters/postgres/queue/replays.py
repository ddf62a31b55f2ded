"""Owing messages to an endpoint once more: one statement looks at a stretch of them and owes those that are meant.

The cost of a stretch is that of the rows it looks at, not of those it finds. A message is owed under the task's id,
so a stretch that is done twice owes nothing twice. What it owes knows the attempt before, to link its trace to.
What stands undelivered is owed until any attempt delivers it, what was delivered is owed `again`.
"""

from typing import Any

from sqlalchemy import text

from service.adapters.postgres.server.transaction import Transaction
from service.domain.endpoints import Endpoint
from service.domain.ids import TaskId
from service.domain.replays import Covered, ReplayFilter, Stretch

_OWE = """
), owed AS (
    INSERT INTO pending_delivery (endpoint_id, message_id, resend, org_id, app_id, due_at, previous, again)
    SELECT :endpoint, id, :task, :org, :app, greatest(now(), deliver_at), previous, again FROM chosen
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
"""

# How a delivery stands: a success stays one, what is still scheduled is being sent, the rest is as it was settled.
SENT = f"""
WITH settled AS MATERIALIZED (
    SELECT message_id, status, attempts FROM settled_delivery
    WHERE endpoint_id = :endpoint AND message_id > :after AND message_id <= :until
    ORDER BY message_id LIMIT :size
), scheduled AS MATERIALIZED (
    SELECT message_id, attempts FROM pending_delivery
    WHERE endpoint_id = :endpoint AND resend = '' AND NOT delivered AND message_id > :after AND message_id <= :until
    ORDER BY message_id LIMIT :size
), horizon AS (
    SELECT least(CASE WHEN (SELECT count(*) FROM settled) = :size THEN (SELECT max(message_id) FROM settled) END,
                 CASE WHEN (SELECT count(*) FROM scheduled) = :size THEN (SELECT max(message_id) FROM scheduled) END,
                 :until) AS reached
), standing AS (
    SELECT message_id,
           CASE WHEN s.status = 0 THEN 0 WHEN p.message_id IS NOT NULL THEN 3 ELSE s.status END AS status
    FROM settled s FULL JOIN scheduled p USING (message_id)
    WHERE coalesce(s.attempts, 0) + coalesce(p.attempts, 0) > 0 AND message_id <= (SELECT reached FROM horizon)
), chosen AS (
    SELECT m.id, m.deliver_at, standing.status = 0 AS again, (
        SELECT '00-' || a.trace_id || '-' || a.span_id || '-01' FROM attempt a
        WHERE a.message_id = m.id AND a.endpoint_id = :endpoint AND a.app_id = :app AND a.span_id IS NOT NULL
        ORDER BY a.id DESC LIMIT 1
    ) AS previous
    FROM standing JOIN message m ON m.id = standing.message_id AND m.app_id = :app
    WHERE m.payload IS NOT NULL
      AND (CAST(:statuses AS int[]) IS NULL OR standing.status = ANY (:statuses))
      AND (CAST(:event_types AS text[]) IS NULL OR m.event_type = ANY (:event_types))
      AND (CAST(:channel AS text) IS NULL OR :channel = ANY (m.channels))
      AND (CAST(:tag AS text) IS NULL OR :tag = ANY (m.tags))
      AND (CAST(:code_class AS int) IS NULL OR (
          SELECT a.response_status_code / 100 * 100 FROM attempt a
          WHERE a.message_id = m.id AND a.endpoint_id = :endpoint AND a.app_id = :app ORDER BY a.id DESC LIMIT 1
      ) = :code_class)
{_OWE}
SELECT (SELECT count(*) FROM owed) AS found, reached FROM horizon
"""

MISSING = f"""
WITH stretch AS MATERIALIZED (
    SELECT id, event_type, channels, deliver_at, payload IS NOT NULL AS whole FROM message
    WHERE app_id = :app AND id > :after AND id <= :until ORDER BY id LIMIT :size
), chosen AS (
    SELECT m.id, m.deliver_at, NULL AS previous, false AS again FROM stretch m
    WHERE m.whole
      AND (CAST(:event_types AS text[]) IS NULL OR m.event_type = ANY (:event_types))
      AND (CAST(:channels AS text[]) IS NULL OR m.channels && :channels)
      AND NOT EXISTS (SELECT FROM settled_delivery s
                      WHERE s.endpoint_id = :endpoint AND s.message_id = m.id AND s.attempts > 0)
      AND NOT EXISTS (SELECT FROM pending_delivery p WHERE p.endpoint_id = :endpoint AND p.message_id = m.id)
{_OWE}
SELECT (SELECT count(*) FROM owed) AS found,
       CASE WHEN (SELECT count(*) FROM stretch) = :size THEN (SELECT max(id) FROM stretch) ELSE :until END AS reached
"""


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
        }
        return await self._replayed(SENT, parameters)

    async def missing(self, endpoint: Endpoint, task_id: TaskId, stretch: Stretch) -> Covered:
        """Those of the application's messages that the endpoint wants, and was never sent nor is owed."""
        parameters = _parameters(endpoint, task_id, stretch) | {
            "event_types": None if endpoint.event_types is None else list(endpoint.event_types),
            "channels": None if endpoint.channels is None else list(endpoint.channels),
        }
        return await self._replayed(MISSING, parameters)

    async def _replayed(self, statement: str, parameters: dict[str, Any]) -> Covered:
        row = (await self._transaction.execute(text(statement).bindparams(**parameters))).one()
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
