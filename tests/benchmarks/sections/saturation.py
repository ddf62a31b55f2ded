"""More than it can take: what is offered, once, one and a half times and three times what it can accept."""

from contextlib import ExitStack

from tests.benchmarks import relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import Database
from tests.benchmarks.load import Job, Load
from tests.benchmarks.measure import Result, Row, Target, check
from tests.benchmarks.processes import Process
from tests.benchmarks.sections.accept import ENDPOINTS

TIMES = (1.0, 1.5, 3.0)
CONNECTIONS = 512


def measure(bench: Bench) -> list[Row]:
    """Capacity by a closed loop first. What finds none of 512 connections free counts as turned away."""
    with ExitStack() as stack:
        used = stack.enter_context(bench.database("saturation"))
        process = stack.enter_context(relevo.serving(used, relevo.SILENT))
        app_id = used.add_application(*ENDPOINTS)
        request = relevo.message(app_id, later=True)
        closed = Job(port=process.port, requests=[request], seconds=bench.plan.seconds)
        capacity = bench.drive(closed, process)[0].per_second
        loads, memory = {}, {}
        for times in TIMES:
            loads[times] = _offered(bench, used, process, request, capacity * times)
            memory[times] = round(process.resident_mb)
    best, most = max(load.per_second for load in loads.values()), loads[TIMES[-1]]
    raw = {
        "capacity_per_second": capacity,
        "goodput_per_second": {str(times): load.per_second for times, load in loads.items()},
        "p99_ms": {str(times): load.p99_ms for times, load in loads.items()},
        "statuses": {str(times): load.statuses for times, load in loads.items()},
        "unsent": {str(times): load.unsent for times, load in loads.items()},
        "resident_mb": {str(times): size for times, size in memory.items()},
    }
    promise = "a row for every 202, at every rate"
    told = f"{most.per_second:,.0f} of {capacity * TIMES[-1]:,.0f} messages/s taken, {memory[TIMES[-1]]} MB"
    return [
        Result(
            section="saturation",
            key="goodput_at_3x",
            value=most.per_second / best,
            target=Target(must=0.9),
            meaning=f"of the best goodput: {told}",
            promise=promise,
            raw=raw,
        ),
        Result(
            section="saturation",
            key="p99_ms_at_3x",
            value=most.p99_ms,
            target=Target(must=1000, better="lower"),
            meaning="ms until those that were taken are answered",
            promise=promise,
        ),
    ]


def _offered(bench: Bench, used: Database, process: Process, request: str, rate: float) -> Load:
    before = used.count("message")
    job = Job(port=process.port, requests=[request], connections=CONNECTIONS, rate=rate, seconds=bench.plan.seconds * 2)
    done, _ = bench.drive(job, process)
    kept = used.count("message") - before
    check(kept == done.accepted, f"{done.accepted} were answered with 202 and {kept} rows kept")
    check(set(done.statuses) <= {"202", "429", "503"}, f"the rest is turned away in good order: {done.statuses}")
    return done
