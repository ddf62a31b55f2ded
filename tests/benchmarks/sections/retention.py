"""Upkeep with very much kept: a week is dropped at a constant cost, and the queue's table does not swell."""

import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from service.adapters.postgres.server import partitions
from service.adapters.postgres.server.database import dsn
from tests.benchmarks.bench import Bench
from tests.benchmarks.churn import A_SECOND, STANDING, churned
from tests.benchmarks.database import Database
from tests.benchmarks.history import ENDPOINTS, WEEKS
from tests.benchmarks.measure import Result, Row, Target, check

FEW = 10_000


def measure(bench: Bench) -> list[Row]:
    """Weeks dropped by turns from a database with many messages and from one with few; then the churn."""
    return [*_dropping(bench), _churning(bench)]


def _dropping(bench: Bench) -> list[Row]:
    many = bench.plan.size(1_000_000, 20_000)
    databases = {size: bench.past(size)[0] for size in (FEW, many)}
    took: dict[int, list[float]] = {size: [] for size in databases}
    for _ in range(bench.plan.turns):
        for size, used in databases.items():
            took[size].append(asyncio.run(_drop_oldest(used.url)))
    few_ms, many_ms = statistics.median(took[FEW]) * 1e3, statistics.median(took[many]) * 1e3
    raw = {"few_ms": [seconds * 1e3 for seconds in took[FEW]], "many_ms": [seconds * 1e3 for seconds in took[many]]}
    rows = many * (1 + 2 * ENDPOINTS) // WEEKS
    promise = f"a week's partitions of {len(partitions.PARTITIONED)} tables gone"
    return [
        Result(
            section="retention",
            key="drop_ms",
            value=many_ms,
            target=Target(must=1000, aim=100, better="lower"),
            meaning=f"ms to drop a week, about {rows:,} rows, of {many:,} messages and {many * ENDPOINTS:,} attempts",
            promise=promise,
            raw=raw,
            runs=bench.plan.turns,
        ),
        Result(
            section="retention",
            key="drop_growth",
            value=many_ms / few_ms,
            target=Target(must=4, aim=1.5, better="lower"),
            meaning=f"times as long with {many // FEW} times the rows ({few_ms:.0f} ms with {FEW:,} messages)",
            promise=promise,
            runs=bench.plan.turns,
        ),
    ]


async def _drop_oldest(url: str) -> float:
    connection = await asyncpg.connect(dsn(url))
    try:
        names = sorted(row["relname"] for row in await connection.fetch(partitions.PARTITIONS, "message"))
        oldest = datetime.strptime(names[0].rpartition("_")[2], "%Y%m%d").replace(tzinfo=UTC)
        began = time.perf_counter()
        dropped = await partitions.drop_older(connection, before=oldest + timedelta(weeks=1))
        took = time.perf_counter() - began
    finally:
        await connection.close()
    check(len(dropped) == len(partitions.PARTITIONED), f"one week is dropped of each table: {dropped}")
    return took


def _churning(bench: Bench) -> Result:
    seconds = bench.plan.size(3600, 120)
    with bench.server.configured("autovacuum_naptime", "1s"), bench.database("churn") as used:
        used.add_application(*(f"http://127.0.0.1:9/{nth}" for nth in range(10)))
        began = time.monotonic()
        sizes = churned(used, seconds=seconds)
        took = time.monotonic() - began
        kept = _kept(used)
    first, last = sizes[0], sizes[-1]
    return Result(
        section="retention",
        key="hot_growth",
        value=last / first,
        target=Target(must=1.5, aim=1.1, better="lower"),
        meaning=f"times as large after {seconds * A_SECOND:,} deliveries, an hour's at {A_SECOND}/s in {took:.0f} s,"
        f" as after a tenth of them: {last / 1e6:.1f} MB, {first / 1e6:.1f} MB, with {STANDING:,} waiting all the time;"
        f" vacuumed {kept['autovacuums']} times",
        promise=f"each claimed and settled, {STANDING:,} left",
        raw={"bytes": sizes, **kept},
    )


def _kept(used: Database) -> dict[str, Any]:
    return {
        "options": list(used.value("SELECT reloptions FROM pg_class WHERE oid = 'pending_delivery'::regclass")),
        "autovacuums": used.value(
            "SELECT autovacuum_count FROM pg_stat_user_tables WHERE relid = 'pending_delivery'::regclass"
        ),
    }
