"""What a PostgreSQL server and the processes that use it have spent until now, and what a database keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.adapters.postgres.server.partitions import PARTITIONED
from service.adapters.postgres.upkeep import BATCH_ROWS, CLEARING
from tests.benchmarks.database import Database
from tests.benchmarks.measure import check
from tests.benchmarks.peers.usage import Trees
from tests.benchmarks.processes import Process
from tests.benchmarks.sections.deliver import until

KEYS = "idempotency_key"
# Whatever autovacuum visits of what the hot path writes. At thousands of transactions a second it soon has to freeze.
_VACUUM = f"VACUUM (FREEZE) {', '.join(PARTITIONED)}, pending_delivery, {KEYS}, activity_hour, endpoint_hour"
_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_WAL = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
_COUNTERS: Mapping[str, str] = {
    "transactions": "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()",
    "syncs": "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'",
    "page_writes": "SELECT sum(writes)::bigint FROM pg_stat_io WHERE object = 'relation'",
    "whole_pages": "SELECT wal_fpi FROM pg_stat_wal",
}
_BYTES = "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree($1::regclass) WHERE isleaf"
_EVER = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds of processor time and bytes of write-ahead log, until now or between two moments."""

    relevo_s: float
    postgres_s: float
    wal_bytes: int

    def since(self, before: "Spent") -> "Spent":
        """Between two moments."""
        return Spent(
            relevo_s=self.relevo_s - before.relevo_s,
            postgres_s=self.postgres_s - before.postgres_s,
            wal_bytes=self.wal_bytes - before.wal_bytes,
        )


def spent(used: Database, *processes: Process) -> Spent:
    """By these processes and the server of the database, which nobody else may use."""
    postmaster = int((Path(used.value("SHOW data_directory")) / "postmaster.pid").read_text().splitlines()[0])
    wal_bytes = used.value(_WAL)
    return Spent(
        relevo_s=Trees(tuple(process.pid for process in processes)).worked,
        postgres_s=Trees((postmaster,)).worked,
        wal_bytes=wal_bytes,
    )


def counters(used: Database) -> Mapping[str, int]:
    """What the server has counted, once everybody else has left: only then has each of them told of all it did."""
    until(lambda: connections(used) == 0)
    return {name: int(used.value(query)) for name, query in _COUNTERS.items()}


def connections(used: Database) -> int:
    """How many connections others have to the database."""
    return int(used.value(_OTHERS))


def settle(used: Database) -> None:
    """Have done at once what autovacuum and the checkpointer would do in time."""
    used.execute(_VACUUM)
    used.execute("CHECKPOINT")


def kept_rows(used: Database) -> int:
    """The rows that stay for as long as messages do."""
    return sum(map(used.count, PARTITIONED))


def kept_bytes(used: Database) -> int:
    """Their bytes, with indexes."""
    return sum(int(used.value(_BYTES, name)) for name in PARTITIONED)


def key_bytes(used: Database) -> int:
    """The bytes of idempotency keys, with indexes."""
    return int(used.value("SELECT pg_total_relation_size($1::regclass)", KEYS))


def grow_old(used: Database, messages: int) -> None:
    """Remove the payloads of so many messages, and as many keys, as upkeep does when their time has come."""
    ever = datetime.now(UTC) + _EVER
    for name in ("remove_payloads", "forget_keys"):
        statement, *arguments = CLEARING[name](before=ever, batch=BATCH_ROWS)
        for _ in range(0, messages, BATCH_ROWS):
            used.execute(str(statement), *arguments)
    check(not used.value("SELECT count(payload) FROM message"), "no payload is left")
