"""From a load and the figures of one message to what it needs. Pure, and no more than sums.

Everything is taken to grow in proportion with the number of messages, which was measured for one process only.
"""

import math
from dataclasses import dataclass

from deploy.capacity.figures import Figures
from service.domain.idempotency import KEYS_KEPT
from service.domain.retention import MESSAGES_KEPT
from service.settings.delivery import Delivery

KIB, MB, TB = 1024, 1e6, 1e12
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What comes. `success` is the share of attempts that succeed, whichever attempt it is; `retries` is how many may
    follow the first attempt; `connecting` is the share of attempts over a new TLS connection; `exported` tells that all
    telemetry is exported.
    """

    rate: float = 1_000.0
    fan_out: float = 1.0
    payload_bytes: int = KIB
    success: float = 1.0
    retries: int = len(Delivery().retry_schedule)
    connecting: float = 1.0
    days: float = float(MESSAGES_KEPT.days)
    exported: bool = False

    @property
    def retries_made(self) -> float:
        """How many attempts follow the first one of a delivery, on average."""
        failing = 1 - self.success
        return sum(failing**nth for nth in range(1, self.retries + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """What is there. `cores` is of a machine that runs processes of Relevo; all else is of one database's machine.

    None of it was measured: these are assumptions, for the reader to replace. `utilisation` is the share of
    processors and disks that may be used in the long run; the rest is for peaks, failures and replicas.
    """

    cores: int = 16
    database_cores: int = 32
    utilisation: float = 0.6
    wal_mb: float = 300.0
    operations: float = 20_000.0
    connections: int = 1_000
    disk_tb: float = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of a database: what all need together, and what one of them gives, in its `unit`."""

    name: str
    need: float
    gives: float
    unit: str

    @property
    def databases(self) -> float:
        """How many it takes, not rounded."""
        return self.need / self.gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a load needs. `limits` are those of a database."""

    load: Load
    relevo_cores: float
    processes: int
    machines: int
    limits: tuple[Limit, ...]

    @property
    def first(self) -> Limit:
        """The limit that is met first, as the load grows."""
        return max(self.limits, key=lambda limit: limit.databases)

    @property
    def databases(self) -> int:
        """As many as the first limit takes."""
        return math.ceil(self.first.databases)

    def limit(self, name: str) -> Limit:
        """The limit of that name."""
        return next(limit for limit in self.limits if limit.name == name)


def needs(load: Load, machines: Machines, figures: Figures) -> Needs:
    """What the load needs of such machines."""
    spent = _Spent(load, figures)
    relevo_cores = load.rate * spent.relevo_us / 1e6
    processes = math.ceil(relevo_cores / machines.utilisation)
    return Needs(
        load=load,
        relevo_cores=relevo_cores,
        processes=processes,
        machines=math.ceil(processes / machines.cores),
        limits=_limits(load, machines, spent, connections=processes * figures.connections.process),
    )


def _limits(load: Load, machines: Machines, spent: "_Spent", *, connections: float) -> tuple[Limit, ...]:
    used = machines.utilisation
    return (
        Limit(
            name="processor",
            need=load.rate * spent.postgres_us / 1e6,
            gives=machines.database_cores * used,
            unit="cores",
        ),
        Limit(name="WAL", need=load.rate * spent.wal_bytes / MB, gives=machines.wal_mb * used, unit="MB/s"),
        Limit(name="operations", need=load.rate * spent.operations, gives=machines.operations * used, unit="/s"),
        Limit(name="connections", need=connections, gives=float(machines.connections), unit=""),
        Limit(name="disk", need=spent.kept_bytes(load.rate, load.days) / TB, gives=machines.disk_tb * used, unit="TB"),
    )


class _Spent:
    """What one message of a load takes."""

    def __init__(self, load: Load, figures: Figures) -> None:
        kib = max(0.0, load.payload_bytes / KIB - 1)
        retries = load.fan_out * load.retries_made
        of = {
            name: getattr(figures, name).of(deliveries=load.fan_out, retries=retries, kib=kib)
            for name in figures.__slots__
        }
        connecting_us = load.connecting * figures.connecting_us.delivery * (load.fan_out + retries)
        self.relevo_us: float = of["relevo_us"] + connecting_us + (of["exported_us"] if load.exported else 0)
        self.postgres_us: float = of["postgres_us"] + of["later_us"]
        self.wal_bytes: float = of["wal_bytes"] + of["page_bytes"] + of["later_wal_bytes"]
        self.operations: float = of["syncs"] + of["page_writes"]
        self.rows: float = of["rows"]
        self._kept_bytes: float = of["kept_bytes"]
        self._key_bytes: float = of["key_bytes"]

    def kept_bytes(self, rate: float, days: float) -> float:
        """What is on the disks once messages have come for so long."""
        keys_s = min(KEYS_KEPT.total_seconds(), days * DAY_S)
        return rate * (self._kept_bytes * days * DAY_S + self._key_bytes * keys_s)
