"""Weekly partitions of the growing tables: made ahead of time, dropped whole when they are too old."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from service.domain import ids

WEEKS_AHEAD = 3
LOCK_KEY = 727_002
LOCK_TIMEOUT = "300ms"  # short, since all later statements on the table wait behind a waiting change
CHANGE_TIMEOUT_S = 60

_log = structlog.stdlib.get_logger("relevo.partitions")

# Each partitioned table, and the prefix of the ids that it is partitioned by.
PARTITIONED = {
    "message": ids.MESSAGE,
    "message_label": ids.MESSAGE,
    "settled_delivery": ids.MESSAGE,
    "attempt": ids.ATTEMPT,
}

PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass
"""


async def ensure(connection: asyncpg.Connection, *, now: datetime) -> None:
    """Make the partitions of this week and the next two. Any number of processes may do it. A partition that cannot be
    made now, because the table is locked, is made in a later round."""
    for table, prefix in PARTITIONED.items():
        existing = {row["relname"] for row in await connection.fetch(PARTITIONS, table)}
        for week in range(WEEKS_AHEAD):
            start = _monday(now) + timedelta(weeks=week)
            if _name(table, start) not in existing:
                await _change(connection, _create(table, prefix, start))


async def match(connection: asyncpg.Connection, names: Iterable[str]) -> None:
    """Make those of another database's partitions, by name, that this one has not, for rows that come from there."""
    for table, prefix in PARTITIONED.items():
        existing = {row["relname"] for row in await connection.fetch(PARTITIONS, table)}
        for name in sorted(set(names) - existing):
            start = _start(name)
            if start is not None and name == _name(table, start):
                await _change(connection, _create(table, prefix, start))


async def drop_older(connection: asyncpg.Connection, *, before: datetime) -> list[str]:
    """Drop the partitions that ended before this time; returns their names. The cost does not grow with the data."""
    dropped = []
    for table in PARTITIONED:
        for row in await connection.fetch(PARTITIONS, table):
            start = _start(row["relname"])
            over = start is not None and start < kept_from(before)
            if over and await _change(connection, f"DROP TABLE IF EXISTS {row['relname']}"):
                dropped.append(row["relname"])
    return dropped


def kept_from(before: datetime) -> datetime:
    """The start of the oldest week that `drop_older` leaves, since it drops whole weeks only."""
    return _monday(before)


async def _change(connection: asyncpg.Connection, statement: str) -> bool:
    """Make one change in its own transaction. Returns False, without a change, when it is not possible now."""
    what = statement.partition(" FOR ")[0]
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{CHANGE_TIMEOUT_S}s'")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY, timeout=CHANGE_TIMEOUT_S)
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            await connection.execute(statement, timeout=CHANGE_TIMEOUT_S)
    except asyncpg.CheckViolationError:
        # A process whose clock was ahead has put a row of that week into the default partition, which keeps the week.
        _log.warning("partition.left_out", statement=what)
        return False
    except asyncpg.LockNotAvailableError:
        _log.warning("partition.postponed", statement=what)
        return False
    return True


def _create(table: str, prefix: str, start: datetime) -> str:
    first, last = ids.lowest(prefix, start), ids.lowest(prefix, start + timedelta(weeks=1))
    name = _name(table, start)
    return f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{first}') TO ('{last}')"


def _name(table: str, start: datetime) -> str:
    return f"{table}_{start:%Y%m%d}"


def _start(partition: str) -> datetime | None:
    day = partition.rpartition("_")[2]
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) if day.isdigit() else None


def _monday(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=at.weekday())
