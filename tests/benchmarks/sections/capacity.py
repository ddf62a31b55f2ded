"""What a message takes and leaves, for `deploy.capacity`: processor time, write-ahead log, commits, rows and bytes.

One `relevo serve`, with the telemetry that it has by default, accepts and delivers for as many applications as a small
installation has, each message with an idempotency key, as the SDKs send it. It is so calm that hardly two messages
share a commit, which costs most. With many callers at once they do, and how many do depends less on chance; so what
more a larger payload and exported telemetry cost is told from that.
"""

import json
import os
import platform
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from service.adapters.postgres.server.database import HOT_CONNECTIONS, POOL_OVERFLOW, POOL_SIZE
from tests.benchmarks import invoice, processes, relevo, spending, wire
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import SIGNING_KEY, Database, token
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Result, Row, Target, check
from tests.benchmarks.processes import Process
from tests.benchmarks.sections.deliver import until
from tests.support.certificates import self_signed

COMMAND = 'make bench BENCH="--section capacity"'
FILE = "capacity.json"  # in build/; what deploy/capacity/figures.json is a copy of
TURNS = 3
RATE = 200.0
APPLICATIONS = 100
WARM_UP_S = 1.0
CALLERS = 256  # more than it takes; where something else holds up the machine, fewer messages are sent
BUSY = 32  # callers of a busy process, each of whom sends again when it is answered
SECONDS = 1.6  # times those of the plan
LARGE_KIB = 8
REMEMBERED = 1_000_000
RETRY_S = 1
SECOND = "second"
CONNECTIONS = POOL_SIZE + POOL_OVERFLOW + HOT_CONNECTIONS + 3  # one each for claims, wake-ups, news of attempts

_COPIES = (
    "INSERT INTO application (id, org_id, name, metadata, created_at, updated_at)"
    " SELECT id || n, org_id, name, metadata, created_at, updated_at FROM application, generate_series(2, $1::int) n",
    "INSERT INTO endpoint (id, org_id, app_id, url, description, version, disabled, metadata, secrets, headers,"
    " created_at, updated_at) SELECT id || n, org_id, app_id || n, url, description, version, disabled, metadata,"
    " secrets, headers, created_at, updated_at FROM endpoint, generate_series(2, $1::int) n",
)
_REMEMBERED = (
    "INSERT INTO idempotency_key (scope, fingerprint, message_id)"
    " SELECT sha256(n::text::bytea), sha256(n::text::bytea), 'msg_' || n FROM generate_series(1, $1::int) n"
)

Found = Mapping[str, Mapping[str, float]]  # what each case of a turn gave


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Messages with so many deliveries each, of so many KiB. `path` is how the receiver behaves; `secured` tells that
    it is called over TLS; `remembered` are keys that are there before; `callers` send as fast as they are answered."""

    fan_out: int
    callers: int = 0
    kib: int = 1
    path: str = ""
    secured: bool = False
    exported: bool = False
    remembered: int = 0

    @property
    def attempts(self) -> int:
        """Of each delivery."""
        return 2 if self.path == SECOND else 1


CASES: Mapping[str, Case] = {
    "accepted": Case(fan_out=0),
    "one": Case(fan_out=1),
    "three": Case(fan_out=3),
    "retried": Case(fan_out=1, path=SECOND),
    "connected": Case(fan_out=1, path="closing", secured=True),
    "remembered": Case(fan_out=0, remembered=REMEMBERED),
    "busy": Case(fan_out=0, callers=BUSY),
    "busy_one": Case(fan_out=1, callers=BUSY),
    "large": Case(fan_out=0, callers=BUSY, kib=LARGE_KIB),
    "large_one": Case(fan_out=1, callers=BUSY, kib=LARGE_KIB),
    "exported": Case(fan_out=0, callers=BUSY, exported=True),
    "exported_one": Case(fan_out=1, callers=BUSY, exported=True),
}
# The figures: unit, and what it is.
FIGURES: Mapping[str, tuple[str, str]] = {
    "relevo_us": ("µs", "processor time of Relevo, with log lines and `/metrics`"),
    "exported_us": ("µs", "more of it, with all traces, metrics and logs exported over OTLP"),
    "connecting_us": ("µs", "more of it, for an attempt over a new TLS connection"),
    "postgres_us": ("µs", "processor time of PostgreSQL, with its vacuums and checkpoints"),
    "busy_relevo_us": ("µs", f"for comparison: of Relevo, with {BUSY} callers at once, a message with its delivery"),
    "busy_postgres_us": ("µs", "the same of PostgreSQL"),
    "later_us": ("µs", "more of it, for removing payload and idempotency key when their time has come"),
    "wal_bytes": ("bytes", "write-ahead log"),
    "page_bytes": ("bytes", "more of it, where the page of the idempotency key was not written since the checkpoint"),
    "later_wal_bytes": ("bytes", "more of it, for removing payload and idempotency key"),
    "transactions": ("", "transactions, those that only read among them"),
    "syncs": ("", "times that the log is flushed to the disk"),
    "page_writes": ("", "writes of pages of tables and indexes, with one checkpoint at the end"),
    "rows": ("rows", "kept as long as messages are"),
    "kept_bytes": ("bytes", "of these with their indexes"),
    "key_bytes": ("bytes", "of the idempotency key and its indexes, kept for hours"),
    "connections": ("", "connections to PostgreSQL at most, two of which must be direct ones"),
}
KEPT = frozenset({"kept_bytes", "key_bytes"})
# What a message with one delivery may take at most.
TARGETS: Mapping[str, float] = {"relevo_us": 2_500, "postgres_us": 2_000, "wal_bytes": 20_000, "kept_bytes": 8_000}


def measure(bench: Bench) -> list[Row]:
    """Every case in turns; the figures go to `build/capacity.json` too."""
    turns = [{name: _turn(bench, case) for name, case in CASES.items()} for _ in range(bench.plan.size(TURNS, 1))]
    figures = _figures(turns)
    document = {"measured": _measured(bench), "figures": figures}
    (bench.build / FILE).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return [_row(bench, name, figures[name], turns) for name in TARGETS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A server on a database of its own, and what is sent to it."""

    bench: Bench
    case: Case
    used: Database
    process: Process
    receiver: Process
    requests: list[str]

    def send(self, seconds: float) -> int:
        """Send for so long, until every delivery is settled. How many messages these were."""
        processes.exchange(self.receiver.port, "POST", "/forget")
        job = Job(
            port=self.process.port,
            requests=self.requests,
            connections=self.case.callers or CALLERS,
            rate=None if self.case.callers else RATE,
            warm_up=0,
            seconds=seconds,
        )
        done, _ = self.bench.drive(job, self.process)
        check(done.accepted == done.answered, f"every message that was sent is accepted: {done.statuses}")
        calls = done.accepted * self.case.fan_out * self.case.attempts
        until(lambda: bool(self.receiver.ask("GET", "/count") >= calls))
        until(lambda: self.used.count("pending_delivery") == 0)
        check(self.receiver.ask("GET", "/count") == calls, f"{calls} calls and no more")
        return done.accepted

    def spent(self) -> dict[str, float]:
        """What a message takes until all is settled."""
        spending.settle(self.used)
        before = spending.spent(self.used, self.process)
        messages = self.send(self.bench.plan.seconds * SECONDS)
        spending.settle(self.used)
        spent = spending.spent(self.used, self.process).since(before)
        return {
            "relevo_us": spent.relevo_s * 1e6 / messages,
            "postgres_us": spent.postgres_s * 1e6 / messages,
            "wal_bytes": spent.wal_bytes / messages,
            "connections": spending.connections(self.used),
        }


def _turn(bench: Bench, case: Case) -> Mapping[str, float]:
    """What a message takes and leaves, of each figure that this case tells of."""
    with ExitStack() as stack:
        certificate = _certificate(stack)
        receiver = stack.enter_context(processes.listening("receiver", SIGNING_KEY.hex(), str(certificate)))
        used = stack.enter_context(bench.database("capacity"))
        requests = _prepare(used, case, receiver)
        spending.settle(used)
        keys, before = spending.key_bytes(used), spending.counters(used)
        with _serving(used, case, certificate) as process:
            stand = Stand(bench=bench, case=case, used=used, process=process, receiver=receiver, requests=requests)
            stand.send(WARM_UP_S)
            spent = stand.spent()
        counted, messages = spending.counters(used), used.count("message")
        left = {
            "rows": spending.kept_rows(used) / messages,
            "kept_bytes": spending.kept_bytes(used) / messages,
            "key_bytes": (spending.key_bytes(used) - keys) / messages,
        }
        left |= {name: (counted[name] - before[name]) / messages for name in counted}
        return spent | left | _later(used, messages)


def _certificate(stack: ExitStack) -> Path:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-bench-")))
    self_signed(directory)
    return directory / "receiver.pem"


@contextmanager
def _serving(used: Database, case: Case, certificate: Path) -> Iterator[Process]:
    environ = {"RELEVO_RETRY_SCHEDULE": f"[{RETRY_S}]", "SSL_CERT_FILE": str(certificate)}
    with ExitStack() as stack:
        if case.exported:
            environ |= relevo.everything_to(stack.enter_context(processes.listening("sink")))
        yield stack.enter_context(relevo.serving(used, environ))


def _later(used: Database, messages: int) -> dict[str, float]:
    before = spending.spent(used)
    spending.grow_old(used, messages)
    spending.settle(used)
    spent = spending.spent(used).since(before)
    return {
        "later_us": spent.postgres_s * 1e6 / messages,
        "later_wal_bytes": spent.wal_bytes / messages,
        "left_bytes": spending.kept_bytes(used) / messages,
    }


def _prepare(used: Database, case: Case, receiver: Process) -> list[str]:
    """The applications, and a request for each."""
    url = f"https://127.0.0.1:{receiver.tls_port}" if case.secured else receiver.url
    app_id = used.add_application(*(f"{url}/{case.path}/{nth}" for nth in range(case.fan_out)))
    for statement in _COPIES:
        used.execute(statement, APPLICATIONS)
    if case.remembered:
        used.execute(_REMEMBERED, case.remembered)
    body = f'{{"eventType": "invoice.paid", "payload": {_payload(case.kib)}}}'
    headers, bearer = f"Idempotency-Key: auto_{wire.STAMP}\r\n", token()
    app_ids = [app_id, *(f"{app_id}{nth}" for nth in range(2, APPLICATIONS + 1))]
    return [wire.post(f"/api/v1/app/{each}/msg", body, token=bearer, headers=headers) for each in app_ids]


def _payload(kib: int) -> str:
    """The invoice of 1 KB; a larger one has more positions, no two alike, as it compresses better otherwise."""
    said, chance = invoice.invoice(), Random(kib)
    while len(json.dumps(said)) < kib * 1024:
        text = " ".join(chance.choices(("Chair", "table", "lamp", "oak", "walnut", "steel", "linen", "grey"), k=3))
        price = {"amount": round(chance.uniform(1, 2_000), 2), "currency": "EUR"}
        sku = f"{chance.randrange(16**8):08x}"
        said["positions"].append({"sku": sku, "text": text, "quantity": chance.randint(1, 50), "price": price})
    return json.dumps(said)


def _figures(turns: Sequence[Found]) -> dict[str, dict[str, Any]]:
    """Each figure by what it is spent on, from what the cases of a turn differ in: the middle one of the turns."""
    return {
        name: {"unit": unit, "says": says, "command": COMMAND} | _middle([_costs(name, turn) for turn in turns])
        for name, (unit, says) in FIGURES.items()
    }


def _middle(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Four digits, and no less than nothing, which the difference of two cases is when a thing costs nothing."""
    middle = {key: statistics.median(each[key] for each in costs) for key in costs[0]}
    return {key: float(f"{max(value, 0.0):.4g}") for key, value in middle.items()}


def _costs(name: str, found: Found) -> Mapping[str, float]:
    match name:
        case "connections":
            return {"process": CONNECTIONS}
        case "exported_us":
            message = _more("relevo_us", found, "exported", "busy")
            attempt = _more("relevo_us", found, "exported_one", "busy_one") - message
            return {"message": message, "delivery": attempt, "retry": attempt}
        case "connecting_us":
            return {"delivery": _more("relevo_us", found, "connected", "one")}
        case "busy_relevo_us" | "busy_postgres_us":
            return {"message": found["busy_one"][name.removeprefix("busy_")]}
        case "page_bytes":
            pages = _more("whole_pages", found, "remembered", "accepted")
            return {"message": _more("wal_bytes", found, "remembered", "accepted") / pages}
        case _:
            return _costs_of_all(name, found)


def _costs_of_all(name: str, found: Found) -> Mapping[str, float]:
    # What is kept is told from many messages, beside which the first pages of each table are nothing.
    accepted, delivered, deliveries = ("busy", "busy_one", 1) if name in KEPT else ("accepted", "three", 3)
    message = found[accepted][name]
    delivery = _more(name, found, delivered, accepted) / deliveries
    message_kib = _more(name, found, "large", "busy") / (LARGE_KIB - 1)
    return {
        "message": message,
        "delivery": delivery,
        "retry": _more(name, found, "retried", "one"),
        "message_kib": message_kib,
        "delivery_kib": _more(name, found, "large_one", "busy_one") / (LARGE_KIB - 1) - message_kib,
    }


def _more(name: str, found: Found, case: str, than: str) -> float:
    return found[case][name] - found[than][name]


def _measured(bench: Bench) -> dict[str, object]:
    with bench.database("capacity") as used:
        version = used.value("SHOW server_version")
    return {
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "postgresql": version,
        "turns": bench.plan.size(TURNS, 1),
        "rate": RATE,
        "applications": APPLICATIONS,
    }


def _row(bench: Bench, name: str, figure: Mapping[str, Any], turns: Sequence[Found]) -> Result:
    one = [turn["one"][name] for turn in turns]
    value = statistics.median(one)
    told = f"{figure['message']:,.0f} for the accept, {figure['delivery']:,.0f} for each delivery"
    return Result(
        section="capacity",
        key=name,
        value=value,
        target=Target(must=TARGETS[name], better="lower"),
        meaning=f"{FIGURES[name][0]} for a message of 1 KB and its delivery, at {RATE:.0f} messages/s: {told}",
        promise="each message accepted once, each delivery made once and settled",
        raw={case: [turn[case] for turn in turns] for case in CASES},
        runs=bench.plan.size(TURNS, 1),
        spread=(max(one) - min(one)) / value,
    )
