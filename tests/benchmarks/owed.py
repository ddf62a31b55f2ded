"""Databases as they are after a while: deliveries waiting, messages kept. Filled by SQL, in seconds."""

from datetime import UTC, datetime, timedelta

from service.adapters.postgres.server.wakeups import CHANNEL
from service.domain import ids
from tests.benchmarks.database import Database
from tests.benchmarks.invoice import written

# Identifiers are made in SQL: the time of now, and digits that count, which keeps them unique and in order.
_MESSAGES = """
INSERT INTO message (id, org_id, app_id, event_type, payload, expires_at, correlation_id)
SELECT $1 || lpad(to_hex(n), 15, '0'), a.org_id, a.id, 'invoice.paid',
       convert_to($3, 'UTF8'), now() + interval '90 days', 'a-request'
FROM generate_series(1, $2::int) n, (SELECT * FROM application LIMIT 1) a
"""
_DELIVERIES = """
INSERT INTO pending_delivery (endpoint_id, message_id, org_id, app_id, due_at)
SELECT e.id, m.id, m.org_id, m.app_id, now() + $2::interval
FROM message m JOIN endpoint e ON e.app_id = m.app_id WHERE m.id LIKE $1 || '%'
ORDER BY m.id, e.id
"""


def keep(used: Database, *, messages: int) -> str:
    """That many messages of 1 KB; what their identifiers begin with."""
    prefix = _prefix(ids.MESSAGE)
    used.execute(_MESSAGES, prefix, messages, written())
    return prefix


def owe(used: Database, *, messages: int, later: timedelta = timedelta(0)) -> None:
    """That many messages, each owed to every endpoint, due now or that much `later`."""
    prefix = keep(used, messages=messages)
    used.execute(_DELIVERIES, prefix, later)
    used.execute(f"NOTIFY {CHANNEL}")


def settle_down(used: Database) -> None:
    """Give the planner and the visibility map what autovacuum would give them in time."""
    for table in ("message", "pending_delivery", "attempt", "settled_delivery"):
        used.execute(f"VACUUM (ANALYZE) {table}")


def _prefix(prefix: str) -> str:
    return ids.lowest(prefix, datetime.now(UTC))[: len(prefix) + 12]
