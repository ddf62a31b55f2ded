"""Weekly partitions of what grows: made ahead of time, dropped whole when their time is over."""

from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from service.domain import ids

AHEAD = 3
LOCK = 727_002
PATIENCE = "300ms"  # while a change waits for its table, everybody who comes later waits behind it
CHANGE_TAKES = 60  # seconds at most

_log = structlog.stdlib.get_logger("relevo.partitions")

# Table and the prefix of the identifier that it is partitioned by.
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
    """Make the partitions of this week and the next few. Safe to run from any number of processes. What cannot be made
    at once, because somebody holds on to the table, is left to the next round; there are weeks of time."""
    for table, prefix in PARTITIONED.items():
        existing = {row["relname"] for row in await connection.fetch(PARTITIONS, table)}
        for week in range(AHEAD):
            start = _monday(now) + timedelta(weeks=week)
            if _name(table, start) not in existing:
                await _change(connection, _create(table, prefix, start))


async def drop_older(connection: asyncpg.Connection, *, before: datetime) -> list[str]:
    """Drop the partitions that ended before that time, and say which. The cost does not grow with what is kept."""
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
    """One change of the tables in a transaction of its own. False, and nothing changed, when it cannot be made now."""
    what = statement.partition(" FOR ")[0]
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{CHANGE_TAKES}s'")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=CHANGE_TAKES)
            await connection.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
            await connection.execute(statement, timeout=CHANGE_TAKES)
    except asyncpg.CheckViolationError:
        # A clock that ran ahead has put a row of that week into the default partition, which goes on holding the week.
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
