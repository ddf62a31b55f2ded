"""Accepting a message of 1 KB for two endpoints, 64 connections, one process, telemetry off.

Deliveries are left for another day, so that accepting is all that happens.
"""

from contextlib import ExitStack
from functools import partial

from tests.benchmarks import relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import Database
from tests.benchmarks.importing import imported, inserted
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Figures, Result, Row, Target, Turn, check, in_turns, raw
from tests.benchmarks.processes import Process

ENDPOINTS = ("http://127.0.0.1:9/one", "http://127.0.0.1:9/two")


def measure(bench: Bench) -> list[Row]:
    """Relevo, a route with one ORM transaction per request, and one with no database, in turns."""
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(bench.database(name)) for name in ("accept", "orm"))
        process = stack.enter_context(relevo.serving(ours, relevo.SILENT))
        orm = stack.enter_context(relevo.contender("messages:orm", theirs.environ))
        noop = stack.enter_context(relevo.contender("messages:noop", theirs.environ))
        ours_job = job(bench, ours, process)
        figures = in_turns(
            bench.plan.turns,
            {
                "relevo": partial(accepted, bench, ours_job, ours, process),
                "orm": partial(accepted, bench, job(bench, theirs, orm), theirs, orm),
                "noop": partial(_answered, bench, job(bench, theirs, noop), noop),
            },
        )
        bench.profile("accept", process, partial(accepted, bench, ours_job, ours, process))
    rows = (
        ("vs_orm", "orm", Target(must=4, aim=6), "times a plain route with one ORM commit"),
        ("vs_noop", "noop", Target(must=0.55, aim=0.75), "of the same without a database"),
    )
    return [
        *(_result(bench, figures, (key, other), target=target, of=of) for key, other, target, of in rows),
        _batch(bench),
    ]


def _batch(bench: Bench) -> Result:
    lines = bench.plan.size(20_000, 1_000)
    with ExitStack() as stack:
        used, bare = (stack.enter_context(bench.database(name)) for name in ("import", "insert"))
        process = stack.enter_context(relevo.serving(used, relevo.SILENT))
        turns = {
            "import": partial(imported, used, process, used.add_application(*ENDPOINTS), lines),
            "insert": partial(inserted, bare, bare.add_application(*ENDPOINTS), lines),
        }
        figures = in_turns(bench.plan.turns, turns)
    ours, theirs = figures["import"], figures["insert"]
    return Result(
        section="accept",
        key="batch",
        value=ours.median / theirs.median,
        target=Target(must=0.3, aim=0.6),
        meaning=f"{ours.median:,.0f} messages/s by bulk import at {ours.cpu_us:.0f} µs, of the database's own insert"
        f" of the same rows ({theirs.median:,.0f}/s)",
        promise="a row for every line",
        raw=raw(figures),
        runs=bench.plan.turns,
        spread=max(ours.spread, theirs.spread),
    )


def accepted(bench: Bench, job: Job, used: Database, process: Process) -> Turn:
    """Messages a second; every one of them is in the database with what it owes to both endpoints."""
    before = used.count("message"), used.count("pending_delivery")
    done, turn = bench.drive(job, process)
    kept, owed = used.count("message") - before[0], used.count("pending_delivery") - before[1]
    check(done.accepted == done.answered == kept, f"{done.statuses} were answered and {kept} rows kept")
    check(owed == kept * len(ENDPOINTS), f"{kept} messages owe {owed} deliveries")
    return turn


def job(bench: Bench, used: Database, process: Process) -> Job:
    """Messages for two endpoints of a new application, delivered another day."""
    app_id = used.add_application(*ENDPOINTS)
    return Job(port=process.port, requests=[relevo.message(app_id, later=True)], seconds=bench.plan.seconds)


def _answered(bench: Bench, job: Job, process: Process) -> Turn:
    done, turn = bench.drive(job, process)
    check(done.accepted == done.answered, f"only 202 is an answer: {done.statuses}")
    return turn


def _result(bench: Bench, figures: dict[str, Figures], compared: tuple[str, str], *, target: Target, of: str) -> Result:
    key, other = compared
    ours, theirs = figures["relevo"], figures[other]
    return Result(
        section="accept",
        key=key,
        value=ours.median / theirs.median,
        target=target,
        meaning=f"{ours.median:,.0f} messages/s at {ours.cpu_us:.0f} µs, {of} ({theirs.median:,.0f}/s at"
        f" {theirs.cpu_us:.0f} µs)",
        promise="a row for every 202, two deliveries for every row",
        raw=raw(figures),
        runs=bench.plan.turns,
        spread=max(ours.spread, theirs.spread),
    )
