"""Accepting beside the real collector while it is well, stands still, is killed, or is killed and started again.

The Relevo of all turns is the same process: what a turn did to it, the next one would show.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from deploy.stack import programs
from tests.benchmarks import load, processes, relevo
from tests.benchmarks.bench import Bench
from tests.benchmarks.collecting import RealCollector, collecting
from tests.benchmarks.database import Database
from tests.benchmarks.load import Job, Load
from tests.benchmarks.measure import Figures, LeftOut, Result, Row, Target, Turn, check, in_turns, raw
from tests.benchmarks.processes import Process
from tests.benchmarks.sections.accept import ENDPOINTS

RATE = 200.0  # messages a second, at which latencies are taken: far from what it can take
PATIENCE = 30.0
HARM = {"still": "stands still", "killed": "is gone", "restarted": "is killed and started again"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A Relevo, its collector, and what came of the turns so far."""

    used: Database
    process: Process
    collector: RealCollector
    request: str
    seconds: float
    p99_ms: dict[str, list[float]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    resident_mb: dict[str, float] = field(default_factory=dict)
    back_after: dict[str, float] = field(default_factory=dict)


def measure(bench: Bench) -> list[Row]:
    """The share of the healthy rate and latency that is left, for each harm."""
    if not programs.is_built(programs.COLLECTOR):
        return [LeftOut(section="collector", key="*", reason="the collector is not built; `make stack` builds it")]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relevo-collector-")))
        sink = stack.enter_context(processes.listening("sink"))
        collector = stack.enter_context(collecting(directory, metrics_to=sink.url))
        used = stack.enter_context(bench.database("collector"))
        process = stack.enter_context(relevo.serving(used, collector.environ))
        site = Site(
            used=used,
            process=process,
            collector=collector,
            request=relevo.message(used.add_application(*ENDPOINTS), later=True),
            seconds=bench.plan.seconds,
        )
        figures = in_turns(bench.plan.turns, {name: partial(_turn, site, name) for name in ("well", *HARM)})
    return [row for name in HARM for row in _results(site, figures, name)]


def _turn(site: Site, name: str) -> Turn:
    before = site.used.count("message"), _dropped(site.process), site.process.worked
    job = Job(port=site.process.port, requests=[site.request], seconds=site.seconds)
    quick, timed = _driven(site, name, job), _driven(site, name, replace(job, rate=RATE))
    worked = site.process.worked - before[2]
    site.p99_ms.setdefault(name, []).append(timed.p99_ms)
    site.resident_mb[name] = site.process.resident_mb
    site.dropped[name] = site.dropped.get(name, 0) + _dropped(site.process) - before[1]
    kept, accepted = site.used.count("message") - before[0], quick.accepted + timed.accepted
    check(kept == accepted == quick.answered + timed.answered, f"{accepted} were accepted and {kept} rows kept")
    return Turn(quick.per_second, worked * 1e6 / accepted)


def _driven(site: Site, name: str, job: Job) -> Load:
    """A job, with the harm done while it runs, and everything well again after it."""
    with load.running(job) as over:
        time.sleep(job.warm_up)
        mend = _HARMS[name](site.collector, job.seconds)
        done = over()
    began = time.monotonic()
    mend()
    _until_it_is_told_again(site)
    site.back_after[name] = max(site.back_after.get(name, 0), time.monotonic() - began)
    check(not done.lost, f"no connection was lost, {done.lost} were")
    return done


def _well(_collector: RealCollector, _seconds: float) -> Callable[[], None]:
    return lambda: None


def _still(collector: RealCollector, _seconds: float) -> Callable[[], None]:
    collector.stand_still()
    return collector.go_on


def _killed(collector: RealCollector, _seconds: float) -> Callable[[], None]:
    collector.kill()
    return collector.start


def _restarted(collector: RealCollector, seconds: float) -> Callable[[], None]:
    collector.kill()
    time.sleep(seconds / 3)
    collector.start()
    return lambda: None


# Each does its harm while the load runs, and gives what mends it afterwards.
_HARMS: dict[str, Callable[[RealCollector, float], Callable[[], None]]] = {
    "well": _well,
    "still": _still,
    "killed": _killed,
    "restarted": _restarted,
}


def _until_it_is_told_again(site: Site) -> None:
    """Until the collector's file of log lines grows, which requests of ours give it reason to."""
    before, deadline = site.collector.kept, time.monotonic() + PATIENCE
    while site.collector.kept <= before:
        check(time.monotonic() < deadline, f"telemetry arrives again within {PATIENCE:.0f} s, without a restart")
        processes.exchange(site.process.port, "GET", "/api/v1/app")
        time.sleep(0.1)


def _dropped(process: Process) -> int:
    """Spans, lines and points that were lost on the way to the collector, as Relevo itself counts them."""
    _, page = processes.exchange(process.port, "GET", "/metrics")
    return int(
        sum(
            sample.value
            for family in text_string_to_metric_families(page.decode())
            for sample in family.samples
            if sample.name.startswith(("otel_sdk_processor_", "otel_sdk_exporter_"))
            and sample.name.endswith(("_processed_total", "_exported_total"))
            and sample.labels.get("error_type")
        )
    )


def _results(site: Site, figures: dict[str, Figures], name: str) -> list[Row]:
    well, harmed = figures["well"], figures[name]
    p99 = {each: sorted(site.p99_ms[each])[len(site.p99_ms[each]) // 2] for each in ("well", name)}
    kept = {**raw({each: figures[each] for each in ("well", name)}), "p99_ms": site.p99_ms, "dropped": site.dropped}
    told = f"{site.dropped[name]:,} spans and lines dropped and counted, {site.resident_mb[name]:.0f} MB"
    return [
        Result(
            section="collector",
            key=f"{name}_rate",
            value=harmed.median / well.median,
            target=Target(must=0.9, aim=1),
            meaning=f"{harmed.median:,.0f} messages/s while it {HARM[name]}, of {well.median:,.0f}/s; {told}",
            promise=f"a row for every 202; telemetry arrives again {site.back_after[name]:.1f} s after",
            raw={**kept, "resident_mb": site.resident_mb, "back_after_s": site.back_after},
            runs=len(harmed.turns),
            spread=max(well.spread, harmed.spread),
        ),
        Result(
            section="collector",
            key=f"{name}_p99",
            value=p99[name] / p99["well"],
            target=Target(must=1.1, aim=1, better="lower"),
            meaning=f"times as long at {RATE:.0f} messages/s while it {HARM[name]}:"
            f" {p99[name]:.1f} ms, {p99['well']:.1f} ms",
            promise="the same process in all turns",
            runs=len(harmed.turns),
        ),
    ]
