"""Weekly partitions of what grows: made ahead of time, dropped whole when their time is over."""

from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from service.domain import ids

AHEAD = 3
LOCK = 727_002

_log = structlog.stdlib.get_logger("relevo.partitions")

# Table and the prefix of the identifier that it is partitioned by.
PARTITIONED = {"message": ids.MESSAGE, "settled_delivery": ids.MESSAGE, "attempt": ids.ATTEMPT}

PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass
"""


async def ensure(connection: asyncpg.Connection, *, now: datetime) -> None:
    """Make the partitions of this week and the next few. Safe to run from any number of processes."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        for table, prefix in PARTITIONED.items():
            existing = {row["relname"] for row in await connection.fetch(PARTITIONS, table)}
            for week in range(AHEAD):
                start = _monday(now) + timedelta(weeks=week)
                if _name(table, start) not in existing:
                    await _try(connection, _create(table, prefix, start))


async def _try(connection: asyncpg.Connection, statement: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except asyncpg.CheckViolationError:
        # A clock that ran ahead has put a row of that week into the default partition, which goes on holding the week.
        _log.warning("partition.left_out", statement=statement.partition(" FOR ")[0])


async def drop_older(connection: asyncpg.Connection, *, before: datetime) -> list[str]:
    """Drop the partitions that ended before that time, and say which. The cost does not grow with what is kept."""
    dropped = []
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        for table in PARTITIONED:
            for row in await connection.fetch(PARTITIONS, table):
                start = _start(row["relname"])
                if start is not None and start + timedelta(weeks=1) <= before:
                    await connection.execute(f"DROP TABLE {row['relname']}")
                    dropped.append(row["relname"])
    return dropped


def _create(table: str, prefix: str, start: datetime) -> str:
    first, last = ids.lowest(prefix, start), ids.lowest(prefix, start + timedelta(weeks=1))
    return f"CREATE TABLE {_name(table, start)} PARTITION OF {table} FOR VALUES FROM ('{first}') TO ('{last}')"


def _name(table: str, start: datetime) -> str:
    return f"{table}_{start:%Y%m%d}"


def _start(partition: str) -> datetime | None:
    day = partition.rpartition("_")[2]
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) if day.isdigit() else None


def _monday(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=at.weekday())
