"""What telemetry costs: accepting with more and more of it exported to a live OTLP sink, against none of it."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.benchmarks import processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.database import Database
from tests.benchmarks.load import Job
from tests.benchmarks.measure import Figures, Result, Row, Target, Turn, check, in_turns, raw
from tests.benchmarks.processes import Process
from tests.benchmarks.sections.accept import ENDPOINTS, accepted
from tests.benchmarks.sections.middleware import requests_per_second

SPANS = ("POST /api/v1/app/{app_id}/msg", "send messages")
SAMPLED = 0.1
LOST = 0.01  # the share of spans and records that may be dropped, and is then counted as such
PATIENCE = 20.0
DEGREES = (
    ("full", Target(must=0.5, aim=0.8), "with all traces, metrics and logs"),
    ("sampled", Target(must=0.7, aim=0.9), "with every tenth trace, metrics and logs"),
    ("quiet", Target(must=0.8, aim=0.95), "with metrics and logs"),
    ("metrics", Target(must=0.8, aim=0.95), "with metrics"),
)
# Of the messages, those whose spans, and of which lines, reach the sink.
TOLD = {"full": (1.0, 1.0), "sampled": (SAMPLED, 1.0), "quiet": (0.0, 1.0), "metrics": (0.0, 0.0)}
LEFT_OUT = {
    "quiet": {"OTEL_TRACES_EXPORTER": "none"},
    "metrics": {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Degree:
    """A Relevo that tells that much."""

    name: str
    used: Database
    process: Process
    sink: Process | None
    job: Job


def measure(bench: Bench) -> list[Row]:
    """Accepting at five degrees of telemetry, in turns, and a trivial route behind two stacks."""
    return [*_accepting(bench), _stacks(bench)]


def _accepting(bench: Bench) -> list[Row]:
    with ExitStack() as stack:
        degrees = [_open(bench, stack, name) for name in ("off", *(name for name, _, _ in DEGREES))]
        figures = in_turns(bench.plan.turns, {degree.name: partial(_turn, bench, degree) for degree in degrees})
        told = {degree.name: _told(degree) for degree in degrees if degree.sink}
        bench.profile("tax", degrees[1].process, partial(_turn, bench, degrees[1]))
    return [
        _result(bench, figures, name, target=target, meaning=meaning, told=told[name])
        for name, target, meaning in DEGREES
    ]


def _open(bench: Bench, stack: ExitStack, name: str) -> Degree:
    used = stack.enter_context(bench.database(f"tax_{name}"))
    sink = None if name == "off" else stack.enter_context(processes.listening("sink"))
    process = stack.enter_context(relevo.serving(used, _environ(name, sink)))
    app_id = used.add_application(*ENDPOINTS)
    job = Job(port=process.port, requests=[relevo.message(app_id, later=True)], seconds=bench.plan.seconds)
    return Degree(name=name, used=used, process=process, sink=sink, job=job)


def _environ(name: str, sink: Process | None) -> dict[str, str]:
    if sink is None:
        return relevo.SILENT
    exporting = relevo.everything_to(sink, sampled=SAMPLED if name == "sampled" else 1)
    return exporting | LEFT_OUT.get(name, {})


def _turn(bench: Bench, degree: Degree) -> Turn:
    return accepted(bench, degree.job, degree.used, degree.process)


def _told(degree: Degree) -> dict[str, Any]:
    """What reached the sink, once everything has: the spans and lines of as many messages as there are rows."""
    assert degree.sink is not None
    kept = degree.used.count("message")
    told = TOLD[degree.name]
    deadline = time.monotonic() + PATIENCE
    while not _is_complete(report := degree.sink.ask("GET", "/report"), kept, *told) and time.monotonic() < deadline:
        time.sleep(0.2)
    spans = {name: report["spans"].get(name, 0) for name in SPANS}
    return {"messages": kept, "spans": spans, "lines": report["logs"].get("request.finished", 0)}


def _is_complete(report: dict[str, Any], kept: int, share: float, lines: float) -> bool:
    spans = all(report["spans"].get(name, 0) >= kept * share * (1 - LOST) - 3 * (kept * share) ** 0.5 for name in SPANS)
    return spans and report["logs"].get("request.finished", 0) >= kept * lines * (1 - LOST)


def _result(
    bench: Bench, figures: dict[str, Figures], name: str, *, target: Target, meaning: str, told: dict[str, Any]
) -> Result:
    off, on = figures["off"], figures[name]
    spans = min(told["spans"].values())
    return Result(
        section="tax",
        key=name,
        value=on.median / off.median,
        target=target,
        meaning=f"{on.median:,.0f} messages/s at {on.cpu_us:.0f} µs {meaning}, {off.median:,.0f}/s at"
        f" {off.cpu_us:.0f} µs with none",
        promise=f"{told['messages']:,} messages: {spans:,} of each span and {told['lines']:,} lines at the sink",
        raw={**raw(figures), f"{name}_at_the_sink": told},
        runs=bench.plan.turns,
        spread=max(off.spread, on.spread),
    )


def _stacks(bench: Bench) -> Row:
    with ExitStack() as stack:
        running, sinks = {}, {}
        for name in ("relevo", "usual"):
            sinks[name] = stack.enter_context(processes.listening("sink"))
            environ = relevo.everything_to(sinks[name])
            running[name] = stack.enter_context(relevo.contender(f"trivial:{name}", environ))
        turns = {name: partial(requests_per_second, bench, process) for name, process in running.items()}
        figures = in_turns(bench.plan.turns, turns)
        spans = {name: sum(sink.ask("GET", "/report")["spans"].values()) for name, sink in sinks.items()}
    check(all(spans.values()), f"both stacks tell of their requests: {spans}")
    ours, theirs = figures["relevo"], figures["usual"]
    return Result(
        section="tax",
        key="vs_usual",
        value=ours.median / theirs.median,
        target=Target(must=2, aim=4),
        meaning=f"{ours.median:,.0f} requests/s at {ours.cpu_us:.0f} µs, times the usual stack ({theirs.median:,.0f}/s"
        f" at {theirs.cpu_us:.0f} µs)",
        promise=f"spans at the sinks: {spans}",
        raw=raw(figures),
        runs=bench.plan.turns,
        spread=max(ours.spread, theirs.spread),
    )
